//! A contract of the full size, for measuring the generator and the compilation of what it makes.
//!
//! It is all forms of the language in the proportions that modules of a database have: resources with five
//! operations each, paged lists, tagged unions, nested and recursive objects, errors, optional and nullable
//! inputs; streams of both classes, with records and with several events. The same numbers give the same bytes. `core` is the real one, so that the real pipeline compiles with it.

use std::fmt::Write;

use crate::load::MODULES_FOLDER;

/// Operations of the contract at its full size.
pub const OPERATIONS: usize = 740;
/// Views of the contract at its full size; the first resources have one each.
pub const VIEWS: usize = 100;
/// Event types of the contract at its full size.
pub const EVENTS: usize = RECORDS + (VIEWS - RECORDS) * CHANGES.len();
/// Types of the contract at its full size: an input an operation and a view, the events, and for a view of several
/// events the type of any of them included.
pub const TYPES: usize = 1_740 + VIEWS + EVENTS + (VIEWS - RECORDS);

/// Views with a record; the others have several events.
const RECORDS: usize = 30;
/// What happens to a resource, each an event of a view of several.
const CHANGES: [&str; 5] = ["Opened", "Renamed", "Measured", "Shared", "Closed"];
/// Of so many views one has a WebSocket path of its own.
const VIEWS_A_PATH: usize = 4;

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
    let of_views = VIEWS + EVENTS + (VIEWS - RECORDS);
    let owners = TYPES - of_views - OPERATIONS - core_types - resources * TYPES_A_RESOURCE;
    let mut files = vec![(path("core"), core.to_owned())];
    for (at, module) in MODULES.iter().enumerate() {
        // Resource 0 of every module, then resource 1 of every module, and so on until there are enough.
        let own = (0..RESOURCES.len()).map(|turn| (turn, turn * MODULES.len() + at));
        let own: Vec<Resource> = own
            .filter(|(_, number)| *number < resources)
            .map(|(turn, number)| Resource::new(module, RESOURCES[turn], number, number < owners))
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
    /// Its place among all resources; what it has besides its operations follows from that.
    number: usize,
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
    fn new(module: &str, word: &'static str, number: usize, has_owner: bool) -> Resource {
        let pascal = crate::names::pascal(module);
        Resource {
            number,
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
      readers: {{$ref: core.MeasuredCount, description: Of this moment.}}
      busy_percent: {{$ref: core.MeasuredPercent, description: Of the last minute.}}
      hit_ratio: {{$ref: core.MeasuredRatio, description: Of the last minute.}}
      reads_per_second: core.MeasuredRate
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

    /// Names of the events of the resource's view; none without a view.
    fn events(&self) -> Vec<String> {
        let ty = &self.ty;
        match self.number {
            number if number < RECORDS => vec![format!("{ty}Changed")],
            number if number < VIEWS => CHANGES.iter().map(|change| format!("{ty}{change}")).collect(),
            _ => Vec::new(),
        }
    }

    fn event_types(&self) -> String {
        let Resource { word, ty, .. } = self;
        let event = |name: String| {
            format!(
                "  {name}:
    type: object
    description: Something happened to a {word}.
    required: [id, state, at_ms, reason]
    properties:
      id: id64
      state: {{$ref: {ty}State, description: After it happened.}}
      at_ms: {{$ref: core.MeasuredMilliseconds, description: Since the server began.}}
      rule: {ty}Rule
      labels: {{type: object, additionalProperties: string}}
      reason: {{type: string, nullable: true, description: Null where nobody said.}}
"
            )
        };
        self.events().into_iter().map(event).collect()
    }

    /// The stream with its one view; nothing for a resource without one.
    fn stream(&self) -> String {
        let Resource {
            number,
            word,
            name,
            ty,
            error,
            code,
            segment,
            ..
        } = self;
        let events = self.events();
        if events.is_empty() {
            return String::new();
        }
        let (class, permission) = if number % 2 == 0 {
            ("changes", "database:read")
        } else {
            ("telemetry", "system:read")
        };
        let payload = match events.as_slice() {
            [record] => format!("record: {record}"),
            several => format!("events: [{}]", several.join(", ")),
        };
        let path = if number % VIEWS_A_PATH == 0 {
            format!("        ws: /api/v1/ws/{segment}/{word}s\n")
        } else {
            String::new()
        };
        let expected: String = events
            .iter()
            .map(|event| format!("              - {{event: {event}, data: {{state: draft}}}}\n"))
            .collect();
        format!(
            "  {word}s:
    class: {class}
    permission: {permission}
    summary: What happens to each {word}.
    since: 0.1.0
    views:
      watch_{name}s:
        summary: Watch what happens to each {word}.
{path}        args:
          type: object
          properties:
            id: id64
            state: {{$ref: {ty}State, description: Only what leads to this state.}}
            interval_ms: {{type: integer, format: uint32, minimum: 100, maximum: 60000, default: 1000, description: Between two of them.}}
        {payload}
        errors: [{error}]
        examples:
          - name: created
            input: {{state: draft}}
            then:
              - {{call: MODULE.create_{name}, input: {{name: watched}}}}
            events:
{expected}          - name: unknown
            input: {{id: \"7\"}}
            error: {code}
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
        text.push_str(&resource.event_types());
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
    let streams: String = resources.iter().map(Resource::stream).collect();
    if !streams.is_empty() {
        text.push_str("\nstreams:\n");
        text.push_str(&streams.replace("MODULE", module));
    }
    text
}
