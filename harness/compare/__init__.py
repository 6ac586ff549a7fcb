"""Has it changed? What runs say about each other, from what is kept of each.

Rules
-----
* A run becomes a **digest** for each of its targets (``digest``): what may be compared with what, the figures, and what
  was found out about the contract. Everything here compares digests; a baseline file holds nothing else.
* The run is the unit, never the request: requests of one run share whatever moved that run.
* Only live runs say how fast a provider is. What was replayed or simulated is compared for what was answered.
"""
