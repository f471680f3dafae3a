// Starts GraphiQL on the /graphql that served this page. Calls are POSTs, subscriptions use the same URL's socket
// (graphql-transport-ws); GraphiQL sends the headers tab with the former and as connection_init payload with the latter.
"use strict";

const DEFAULT_QUERY = `# Ctrl+Enter runs the query, Ctrl+Space
# completes, the book icon opens the schema.
#
# Most operations need one of these in the
# "Headers" tab below. It is never stored.
#   {"authorization": "Bearer TOKEN"}
#   {"x-api-key": "KEY"}

query Operations {
  __schema {
    queryType {
      fields {
        name
        description
      }
    }
  }
}
`;

const url = new URL("/graphql", window.location.href);
const socketUrl = new URL(url);
socketUrl.protocol = url.protocol === "https:" ? "wss:" : "ws:";

const fetcher = GraphiQL.createFetcher({ url: url.href, subscriptionUrl: socketUrl.href });

// Header names are case-insensitive, keys of connection_init's payload are not: the server reads lower case.
function fetchWithLowerCaseHeaders(request, options) {
  const headers = Object.entries(options?.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]);
  return fetcher(request, { ...options, headers: Object.fromEntries(headers) });
}

// The browser's storage, for everything but headers: GraphiQL keeps them with the history of queries, whatever its
// setting says, and they may hold a token.
function withoutHeaders(text) {
  try {
    return JSON.stringify(JSON.parse(text, (name, value) => (name === "headers" ? undefined : value)));
  } catch {
    return text;
  }
}

const storage = {
  getItem: (name) => window.localStorage.getItem(name),
  setItem: (name, text) => window.localStorage.setItem(name, withoutHeaders(text)),
  removeItem: (name) => window.localStorage.removeItem(name),
  clear: () => window.localStorage.clear(),
  get length() {
    return window.localStorage.length;
  },
};

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: fetchWithLowerCaseHeaders,
    storage,
    defaultQuery: DEFAULT_QUERY,
    defaultEditorToolsVisibility: "headers",
    isHeadersEditorEnabled: true,
    // A token must not be written to the browser's storage, so the setting that would is not offered either.
    shouldPersistHeaders: false,
    showPersistHeadersSettings: false,
  }),
);
