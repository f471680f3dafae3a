/**
 * Credentials of a client. With user name and password it holds the tokens: it logs in when first needed and
 * refreshes at most once at a time, however many calls find their token expired.
 */

import type { Credentials } from "./options.js";

/** What the session needs of the contract: the answers of `auth.login` and `auth.refresh`. */
export interface TokenSource {
  login(username: string, password: string): Promise<Tokens>;
  refresh(refreshToken: string): Promise<Tokens>;
  /** Whether a refresh failed because the refresh token no longer serves. */
  isRefused(error: unknown): boolean;
}

export interface Tokens {
  readonly access: string;
  readonly refresh: string;
}

/** Header a call carries, and the token in it that may expire. */
export interface Authorization {
  readonly headers: Readonly<Record<string, string>>;
  readonly token: string | undefined;
}

const NOBODY: Authorization = { headers: {}, token: undefined };

export class Session {
  readonly #credentials: Credentials | undefined;
  readonly #source: TokenSource;
  #tokens: Tokens | undefined;
  #flight: Promise<Tokens> | undefined;

  constructor(credentials: Credentials | undefined, source: TokenSource) {
    this.#credentials = credentials;
    this.#source = source;
  }

  /** Authorization of a call; a public operation never causes a login. */
  async authorization(isPublic: boolean): Promise<Authorization> {
    const credentials = this.#credentials;
    if (credentials === undefined) {
      return NOBODY;
    }
    if ("apiKey" in credentials) {
      return { headers: { "X-API-Key": credentials.apiKey }, token: undefined };
    }
    if ("bearer" in credentials) {
      return bearer(typeof credentials.bearer === "string" ? credentials.bearer : await credentials.bearer());
    }
    if (isPublic) {
      return NOBODY;
    }
    const { username, password } = credentials;
    const tokens = this.#tokens ?? (await this.#once(() => this.#source.login(username, password)));
    return bearer(tokens.access);
  }

  /** After `expired` was refused: whether the next authorization has another token. */
  async renew(expired: string): Promise<boolean> {
    const credentials = this.#credentials;
    if (credentials === undefined || "apiKey" in credentials) {
      return false;
    }
    if ("bearer" in credentials) {
      return typeof credentials.bearer !== "string" && (await credentials.bearer()) !== expired;
    }
    // Another call may have renewed it since this one was sent.
    if (this.#tokens === undefined || this.#tokens.access === expired) {
      await this.#once(() => this.#renewed(credentials.username, credentials.password));
    }
    return true;
  }

  async #renewed(username: string, password: string): Promise<Tokens> {
    const held = this.#tokens;
    this.#tokens = undefined;
    if (held === undefined) {
      return this.#source.login(username, password);
    }
    try {
      return await this.#source.refresh(held.refresh);
    } catch (error) {
      if (this.#source.isRefused(error)) {
        return this.#source.login(username, password);
      }
      // The answer was lost; the refresh token may still serve.
      this.#tokens = held;
      throw error;
    }
  }

  #once(work: () => Promise<Tokens>): Promise<Tokens> {
    this.#flight ??= work()
      .then((tokens) => (this.#tokens = tokens))
      .finally(() => (this.#flight = undefined));
    // Each caller handles the failure; when all have been aborted meanwhile, it is nobody's.
    this.#flight.catch(() => undefined);
    return this.#flight;
  }
}

function bearer(token: string): Authorization {
  return { headers: { Authorization: `Bearer ${token}` }, token };
}

/** Tokens out of an answer of `auth.login` or `auth.refresh`. */
export function tokensOf(answer: unknown): Tokens | undefined {
  if (typeof answer !== "object" || answer === null) {
    return undefined;
  }
  const { access_token: access, refresh_token: refresh } = answer as Record<string, unknown>;
  return typeof access === "string" && typeof refresh === "string" ? { access, refresh } : undefined;
}
