/** Asks the services: with the access token, if there is one; their refusals; and the stream of events. */

const KEY = "token";
const PATIENCE = 30_000;
const asksForTokens = document.documentElement.dataset.tokens !== undefined;

/** A refusal of one of the services (RFC 9457), or that there was no answer: then `status` is 0. */
export class Problem extends Error {
  constructor(content) {
    super(content.detail ?? content.title);
    Object.assign(this, { status: 0, errors: [] }, content);
    this.slug = (content.type ?? "").split(":").at(-1);
  }
}

/** The access token, kept for this tab alone. Tells `change` of it, and `refused`, with the `Problem`, when it is dropped for that. */
class Session extends EventTarget {
  #token = sessionStorage.getItem(KEY);

  get token() {
    return this.#token;
  }

  /** Whether nothing can be read before a token is given. */
  get isMissing() {
    return asksForTokens && this.#token === null;
  }

  /** Takes a token that is good, whatever it allows. Throws `Problem`. */
  async signIn(token) {
    try {
      await answer("projections", { signal: AbortSignal.timeout(PATIENCE) }, token);
    } catch (problem) {
      if (problem.status !== 403) throw problem;
    }
    this.#token = token;
    sessionStorage.setItem(KEY, token);
    this.dispatchEvent(new Event("change"));
  }

  signOut() {
    this.#token = null;
    sessionStorage.removeItem(KEY);
    this.dispatchEvent(new Event("change"));
  }

  /** Drops a token that was refused, unless it has been replaced meanwhile. */
  refuse(token, problem) {
    if (token !== this.#token) return;
    this.signOut();
    this.dispatchEvent(new CustomEvent("refused", { detail: problem }));
  }
}

export const session = new Session();

/** Sends a request, and gives its headers and content; a network that fails, or stays silent, is a `Problem` as well. */
export async function request(url, options = {}, patience = PATIENCE) {
  if (session.isMissing) throw new Problem({ status: 401, title: "An access token is needed." });
  const response = await answer(url, { signal: AbortSignal.timeout(patience), ...options }, session.token);
  return { headers: response.headers, body: await reached(response.json()) };
}

/**
 * Follows a stream of Server-Sent Events past a position, until it ends; `take` gets the fields of each message, those
 * of heartbeats too. `EventSource` would do this, but for the token, which it cannot send. Throws `Problem`.
 */
export async function follow(url, after, signal, opened, take) {
  const headers = { Accept: "text/event-stream", "Last-Event-ID": String(after) };
  const response = await answer(url, { signal, headers, cache: "no-store" }, session.token);
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reached(reader.read());
    if (done) return;
    const messages = (rest + value).split("\n\n");
    rest = messages.pop();
    for (const message of messages) take(fields(message));
  }
}

function fields(message) {
  return Object.fromEntries(message.split("\n").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trimStart()];
  }));
}

async function answer(url, options, token) {
  const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
  const response = await reached(fetch(url, { ...options, headers }));
  if (response.ok) return response;
  const problem = await reached(refusal(response));
  if (problem.status === 401) session.refuse(token, problem);
  throw problem;
}

/** What is no problem of ours, as a proxy's page, is told of by its status. */
async function refusal(response) {
  const text = await response.text();
  const isOurs = response.headers.get("Content-Type")?.includes("problem+json");
  return new Problem({ title: `The answer was ${response.status}.`, ...(isOurs && JSON.parse(text)), status: response.status });
}

async function reached(work) {
  try {
    return await work;
  } catch {
    throw new Problem({ title: "The service cannot be reached." });
  }
}

/** Says why something is not shown. */
export function excuse(what, problem) {
  if (problem.status === 401) return `${what} cannot be read: sign in again.`;
  if (problem.status === 403) return `${what} cannot be shown. ${problem.message}`;
  return `${what} cannot be read right now. ${problem.message} Trying again.`;
}
