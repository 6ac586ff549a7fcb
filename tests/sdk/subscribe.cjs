// Runs @fal-ai/client's subscribe and prints what it reported as one line of JSON. Arguments: the folder of the
// installation, then JSON {endpoint, input, key, urls} with the base URL that stands for each of fal's hosts.
const { createRequire } = require("node:module");

const [folder, given] = process.argv.slice(2);
const { endpoint, input, key, urls } = JSON.parse(given);
const { createFalClient } = createRequire(folder + "/")("@fal-ai/client");

// The client has https:// and its hosts built in; its own `fetch` option is the place to lead it elsewhere.
function here(url) {
  const { host, pathname, search } = new URL(url);
  if (!(host in urls)) throw new Error(`the client wants to reach ${host}`);
  return urls[host] + pathname + search;
}

const enqueued = [];
const updates = [];
const fal = createFalClient({ credentials: key, fetch: (url, init) => fetch(here(url), init) });
fal
  .subscribe(endpoint, {
    input,
    logs: true,
    pollInterval: 50,
    onEnqueue: (id) => enqueued.push(id),
    onQueueUpdate: (update) => updates.push(update),
  })
  .then(
    (result) => ({ result }),
    ({ name, status, message, body, fieldErrors, requestId }) => ({
      error: { name, status, message, body, fieldErrors, requestId },
    }),
  )
  .then((outcome) => console.log(JSON.stringify({ enqueued, updates, ...outcome })));
