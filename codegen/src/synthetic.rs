//! A contract of the full size, for measuring the generator and the compilation of what it makes.
//!
//! It is all forms of the language in the proportions that modules of a database have: resources with five
//! operations each, paged lists, tagged unions, nested and recursive objects, errors, optional and nullable
//! inputs. The same numbers give the same bytes. `core` is the real one, so that the real pipeline compiles with it.

use std::fmt::Write;

use crate::load::MODULES_FOLDER;

/// Operations of the contract at its full size.
pub const OPERATIONS: usize = 740;
/// Types of the contract at its full size, one input an operation included.
pub const TYPES: usize = 1_740;

const OPERATIONS_A_RESOURCE: usize = 5;
/// Without the owner, which only the first resources have.
const TYPES_A_RESOURCE: usize = 6;
/// JSON-RPC code of the first module's error; the others count down.
const RPC_FIRST: i32 = -31_000;

const MODULES: [&str; 30] = [
    "archive",
    "backup",
    "billing",
    "branch",
    "cache",
    "catalog",
    "cluster",
    "config",
    "connector",
    "document",
    "export",
    "feature",
    "function",
    "graph",
    "index_plan",
    "ingest",
    "job",
    "journal",
    "lake",
    "metric",
    "notebook",
    "policy",
    "pool",
    "quota",
    "replica",
    "search",
    "spatial",
    "topic",
    "vector",
    "workflow",
];
const RESOURCES: [&str; 5] = ["ledger", "channel", "window", "route", "profile"];

/// Path and text of every file: `core` as given, and the modules; sorted by path. `core_types` is how many types
/// `core` declares.
pub fn contract(core: &str, core_types: usize) -> Vec<(String, String)> {
    let resources = OPERATIONS / OPERATIONS_A_RESOURCE;
    let owners = TYPES - OPERATIONS - core_types - resources * TYPES_A_RESOURCE;
    let mut files = vec![(path("core"), core.to_owned())];
    for (at, module) in MODULES.iter().enumerate() {
        // Resource 0 of every module, then resource 1 of every module, and so on until there are enough.
        let own = (0..RESOURCES.len()).map(|turn| (turn, turn * MODULES.len() + at));
        let own: Vec<Resource> = own
            .filter(|(_, number)| *number < resources)
            .map(|(turn, number)| Resource::new(module, RESOURCES[turn], number < owners))
            .collect();
        files.push((path(module), module_text(module, RPC_FIRST - at as i32, &own)));
    }
    files.sort();
    files
}

/// Path of a module's file.
pub fn path(module: &str) -> String {
    format!("{MODULES_FOLDER}/{module}.yaml")
}

struct Resource {
    /// What one of them is called in texts and routes.
    word: &'static str,
    /// The same with its module, as operations name it: iterators of the clients are named after those.
    name: String,
    /// Prefix of its types, and its own type.
    ty: String,
    has_owner: bool,
    error: String,
    code: String,
    segment: String,
}

impl Resource {
    fn new(module: &str, word: &'static str, has_owner: bool) -> Resource {
        let pascal = crate::names::pascal(module);
        Resource {
            word,
            name: format!("{module}_{word}"),
            ty: format!("{pascal}{}", crate::names::pascal(word)),
            has_owner,
            error: format!("{pascal}NotFound"),
            code: format!("{}_NOT_FOUND", module.to_uppercase()),
            segment: module.replace('_', "-"),
        }
    }

    fn types(&self) -> String {
        let Resource { word, ty, .. } = self;
        let owner = if self.has_owner {
            format!(
                "  {ty}Owner:
    type: object
    description: Who answers for a {word}.
    required: [username, since]
    properties:
      username: {{type: string, minLength: 1, maxLength: 64, description: The account's name.}}
      since: {{type: string, format: date}}
      deputies: {{type: array, items: string, maxItems: 8}}
"
            )
        } else {
            String::new()
        };
        let owned = if self.has_owner {
            format!("      owner: {ty}Owner\n")
        } else {
            String::new()
        };
        format!(
            "  {ty}State:
    enum: [draft, active, retired]
    description: Where a {word} is in its life.
  {ty}Fixed:
    type: object
    required: [amount]
    properties:
      amount: {{type: string, format: decimal, description: The same at any size.}}
      note: {{type: string, maxLength: 200}}
  {ty}Tiered:
    type: object
    required: [steps]
    properties:
      steps: {{type: array, items: uint32, minItems: 1, maxItems: 16, description: Where each tier begins.}}
      factor: {{type: number, minimum: 0, maximum: 100}}
  {ty}Rule:
    type: union
    description: How the cost of a {word} is found.
    tag: kind
    variants:
      fixed: {ty}Fixed
      tiered: {ty}Tiered
{owner}  {ty}:
    type: object
    description: One {word} with all that is known of it.
    required: [id, name, state, rule, key, size_bytes, created_at]
    properties:
      id: id64
      name: {{type: string, minLength: 1, maxLength: 64}}
      state: {{$ref: {ty}State, description: Changed by updates only.}}
      rule: {ty}Rule
{owned}      labels: {{type: object, additionalProperties: string, description: Free keys and values.}}
      parts: {{type: array, items: {ty}, maxItems: 16, description: What it is made of.}}
      key: {{$ref: core.GeneratedId, description: Tells it from those of other servers.}}
      size_bytes: {{$ref: core.MeasuredBytes, description: As stored.}}
      elapsed_ms: core.MeasuredMilliseconds
      process: core.ProcessId
      path: core.MachinePath
      timeout_ms: {{type: integer, format: duration}}
      payload: {{format: json, description: Kept as it was given.}}
      created_at: {{type: string, format: timestamp, description: When it was created.}}
  {ty}Page:
    type: object
    required: [items]
    properties:
      items: {{type: array, items: {ty}, description: In the order of their ids.}}
      next: {{type: string, format: cursor, description: Absent on the last page.}}
"
        )
    }

    fn operations(&self) -> String {
        let Resource {
            word,
            name,
            ty,
            error,
            code,
            segment,
            ..
        } = self;
        let given = format!("[{{call: MODULE.create_{name}, input: {{name: first}}, save: made}}]");
        let unknown = format!(
            "      - name: unknown
        input: {{id: \"7\"}}
        error: {code}
"
        );
        format!(
            "  list_{name}s:
    kind: query
    rest: GET /api/v1/{segment}/{word}s
    permission: database:read
    summary: List every {word} in the order of their ids.
    input:
      type: object
      properties:
        state: {{$ref: {ty}State, description: Only those in this state.}}
        name_prefix: {{type: string, maxLength: 64}}
    output: {ty}Page
    paginated: {{items: items}}
    since: 0.1.0
    examples:
      - name: first_page
        as: analyst
        input: {{limit: 5}}
  get_{name}:
    kind: query
    rest: GET /api/v1/{segment}/{word}s/{{id}}
    permission: database:read
    summary: Return one {word}.
    input:
      type: object
      required: [id]
      properties:
        id: id64
    output: {ty}
    errors: [{error}]
    since: 0.1.0
    examples:
      - name: found
        given: {given}
        input: {{id: \"${{made.id}}\"}}
        output: {{name: first}}
{unknown}  create_{name}:
    kind: command
    rest: POST /api/v1/{segment}/{word}s
    permission: database:write
    summary: Create a {word} and answer it.
    status: 201
    input:
      type: object
      required: [name]
      properties:
        name: {{type: string, minLength: 1, maxLength: 64, description: Need not be unique.}}
        rule: {ty}Rule
        labels: {{type: object, additionalProperties: string}}
        timeout_ms: {{type: integer, format: duration, default: 1000}}
        payload: {{format: json}}
    output: {ty}
    since: 0.1.0
    examples:
      - name: with_a_rule
        input: {{name: second, rule: {{kind: tiered, steps: [1, 10], factor: 0.5}}}}
        output: {{name: second}}
  update_{name}:
    kind: command
    rest: PATCH /api/v1/{segment}/{word}s/{{id}}
    permission: database:write
    summary: Change what is given of one {word}.
    input:
      type: object
      required: [id]
      properties:
        id: id64
        name: {{type: string, minLength: 1, maxLength: 64}}
        state: {ty}State
        note: {{type: string, maxLength: 200, nullable: true, description: Null takes it away.}}
        rule: {ty}Rule
    output: {ty}
    errors: [{error}]
    since: 0.1.0
    examples:
      - name: renamed
        given: {given}
        input: {{id: \"${{made.id}}\", name: third}}
        output: {{name: third}}
{unknown}  delete_{name}:
    kind: command
    rest: DELETE /api/v1/{segment}/{word}s/{{id}}
    permission: database:write
    summary: Remove one {word} for good.
    input:
      type: object
      required: [id]
      properties:
        id: id64
        cascade: {{type: boolean, default: false, description: Its parts go with it.}}
    errors: [{error}]
    since: 0.1.0
    examples:
      - name: gone
        given: {given}
        input: {{id: \"${{made.id}}\"}}
{unknown}"
        )
    }
}

fn module_text(module: &str, rpc: i32, resources: &[Resource]) -> String {
    let words = module.replace('_', " ");
    let mut text = format!(
        "module: {module}
summary: What there is to do with the {words}.
description: >-
  Made for measuring; no server answers these operations.

types:
"
    );
    for resource in resources {
        text.push_str(&resource.types());
    }
    let error = format!("{}NotFound", crate::names::pascal(module));
    write!(
        text,
        "
errors:
  {error}: {{status: 404, rpc: {rpc}, retry: never, summary: Nothing of the {words} has this id.}}

operations:
"
    )
    .expect("writing to a string succeeds");
    for resource in resources {
        text.push_str(&resource.operations().replace("MODULE", module));
    }
    text
}
