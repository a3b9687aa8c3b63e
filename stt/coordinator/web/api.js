// Requests to the coordinator: one function, one kind of error.

/** An error that the coordinator answered. `status` is 0 if it did not answer. */
class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * The answer's JSON, or null where there is none.
 *
 * `query` leaves out what is null or empty, and names each value of a list; `body` is sent as JSON.
 * Throws ApiError, and AbortError once `signal` is aborted. Without a session it leads to the login
 * page and back.
 */
export async function api(method, path, { query = {}, body, signal } = {}) {
  const options = { method, signal, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(withQuery(path, query), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "away", "The coordinator does not answer.");
  }
  if (!answer.ok) throw refusal(answer.status, await answer.text());
  return answer.status === 204 ? null : answer.json();
}

export function withQuery(path, query) {
  const wanted = Object.entries(query)
    .flatMap(([name, value]) => [value].flat().map((one) => [name, one]))
    .filter(([, value]) => value != null && value !== "");
  return wanted.length ? `${path}?${new URLSearchParams(wanted)}` : path;
}

/** Return the error that the body of a response describes. */
export function refusal(status, text) {
  if (status === 401) logIn();
  let error;
  try {
    ({ error } = JSON.parse(text));
  } catch {
    // A proxy's page, not the coordinator's answer.
  }
  return new ApiError(
    status,
    error?.code ?? "error",
    error?.message ?? `The coordinator answered ${status}.`,
  );
}

export function logIn() {
  const next = location.pathname + location.search;
  location.assign(next === "/" ? "/login" : withQuery("/login", { next }));
}
