/** Walks the pages of a paginated operation. */

import { ResponseError } from "./errors.js";
import type { Operation } from "./operation.js";

/** The part of a page that leads to the one after it. */
export interface Page {
  readonly next?: string | null;
}

/**
 * Items across pages. `fetchPage` gets the cursor of the page it fetches, undefined for the first; a page is only
 * fetched when its first item is asked for.
 */
export async function* items<P extends Page, Item>(
  operation: Operation,
  fetchPage: (after: string | undefined) => Promise<P>,
  itemsOf: (page: P) => readonly Item[],
): AsyncGenerator<Item, void, undefined> {
  let after: string | undefined;
  for (;;) {
    const page = await fetchPage(after);
    yield* itemsOf(page);
    const next = page.next ?? undefined;
    if (next === undefined) {
      return;
    }
    if (next === after) {
      throw new ResponseError({
        code: "INVALID_RESPONSE",
        message: `${operation.id} answered a page whose \`next\` leads to itself`,
        operation: operation.id,
        requestId: "",
      });
    }
    after = next;
  }
}
