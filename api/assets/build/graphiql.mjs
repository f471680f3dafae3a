// Copies GraphiQL's and React's prebuilt browser files to ../graphiql and gathers the licence of every package
// inside them. Run `npm ci --ignore-scripts && npm run renew` here; `npm run check` compares and writes nothing.
//
// The list of bundled packages comes from the bundle's source map, so a package added upstream can't be missed:
// one without a known licence text is an error.
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const modules = join(here, "node_modules");
const target = join(here, "..", "graphiql");

const COPIES = {
  "graphiql.min.js": "graphiql/graphiql.min.js",
  "graphiql.min.css": "graphiql/graphiql.min.css",
  "react.production.min.js": "react/umd/react.production.min.js",
  "react-dom.production.min.js": "react-dom/umd/react-dom.production.min.js",
};

// Folders of GraphiQL's own repository, as its source map names them.
const WORKSPACE = {
  "graphiql-toolkit": "@graphiql/toolkit",
  "graphiql-react": "@graphiql/react",
  "graphiql-plugin-history": "@graphiql/plugin-history",
  "graphiql-plugin-doc-explorer": "@graphiql/plugin-doc-explorer",
  "graphql-language-service": "graphql-language-service",
  "codemirror-graphql": "codemirror-graphql",
};

// Packages that ship no licence file: the licence their package.json declares, and the package of the same authors
// whose licence text is theirs. With null, the declared licence and the author named there are all that exists.
const TEXT_FROM = {
  "@graphiql/plugin-doc-explorer": "graphiql",
  "@graphiql/plugin-history": "graphiql",
  "@radix-ui/react-use-callback-ref": "@radix-ui/react-compose-refs",
  "@radix-ui/react-use-escape-keydown": "@radix-ui/react-compose-refs",
  "react-compiler-runtime": "react",
  "react-remove-scroll-bar": "react-remove-scroll",
  "toggle-selection": null,
};

// The fonts inlined in graphiql.min.css: Fira Code 5.002 and Roboto 2.137, which is under the Apache licence still.
const FONTS = ["@fontsource/fira-code", "roboto-fontface"];

function bundledPackages() {
  const map = JSON.parse(readFileSync(join(modules, "graphiql/graphiql.min.js.map"), "utf8"));
  const names = new Set(["react", "react-dom", ...FONTS]);
  for (const source of map.sources) {
    const inModules = source.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/g);
    if (inModules) names.add(inModules.at(-1).slice("node_modules/".length));
    else if (source.startsWith("../src/")) names.add("graphiql");
    else {
      const name = WORKSPACE[source.split("/")[2]];
      if (!name) throw new Error(`the source map names ${source}, whose package is unknown: add it to WORKSPACE`);
      names.add(name);
    }
  }
  return [...names].sort();
}

function licenceText(name) {
  const folder = join(modules, name);
  if (!existsSync(folder)) throw new Error(`${name} is in the bundle but not installed: add it to package.json`);
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copyrightnotice|notice)/i.test(file)).sort();
  if (files.length > 0) return files.map((file) => readFileSync(join(folder, file), "utf8")).join("\n");
  if (!(name in TEXT_FROM)) throw new Error(`${name} ships no licence file: add it to TEXT_FROM`);
  if (TEXT_FROM[name] !== null) return licenceText(TEXT_FROM[name]);
  const { license, author, repository } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${license}, by ${author?.name ?? author} (${repository?.url ?? repository}); the package ships no licence text.`;
}

function licences() {
  const byText = new Map();
  for (const name of bundledPackages()) {
    const { license } = JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));
    const text = licenceText(name).replace(/\r\n?/g, "\n").replace(/[ \t]+$/gm, "").trim();
    const names = byText.get(text) ?? [];
    names.push(`${name} (${license})`);
    byText.set(text, names);
  }
  const parts = [...byText].map(([text, names]) => `${names.join("\n")}\n\n${text}\n`);
  const head = "Licences of the packages inside the files of this folder. Made by ../build/graphiql.mjs.\n";
  return [head, ...parts].join(`\n${"-".repeat(80)}\n`);
}

const check = process.argv.includes("--check");
const outputs = Object.entries(COPIES).map(([name, from]) => {
  // A source map is not shipped, so the line that points to it goes.
  const text = readFileSync(join(modules, from), "utf8").replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");
  return [name, text];
});
outputs.push(["LICENSES", licences()]);

let stale = 0;
for (const [name, text] of outputs) {
  const path = join(target, name);
  const same = existsSync(path) && readFileSync(path, "utf8") === text;
  if (!same && !check) writeFileSync(path, text);
  stale += same ? 0 : 1;
  console.log(`${name}: ${Buffer.byteLength(text)} bytes, ${same ? "up to date" : check ? "differs" : "written"}`);
}
process.exitCode = check && stale > 0 ? 1 : 0;
