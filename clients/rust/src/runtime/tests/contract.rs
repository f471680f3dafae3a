//! Operations and views of no contract.

use rustydb_contract::descriptor::{
    FieldDesc, ObjectDesc, OperationDesc, OperationKind, PermissionRule, RestPlace, Shape, Ty, TypeDesc,
};
use rustydb_contract::stream::{EventDesc, StreamClass, ViewDesc};

const TEXT: Ty = Ty::Text {
    min_length: None,
    max_length: None,
    pattern: None,
};

const fn field(name: &'static str, ty: Ty, place: RestPlace) -> FieldDesc {
    FieldDesc {
        name,
        description: "",
        ty,
        required: false,
        nullable: false,
        default: None,
        sensitive: false,
        place: Some(place),
        deprecated: None,
    }
}

const fn object(name: &'static str, fields: &'static [FieldDesc]) -> TypeDesc {
    TypeDesc {
        name,
        description: "",
        shape: Shape::Object(ObjectDesc {
            fields,
            exactly_one_of: &[],
        }),
    }
}

const fn operation(
    id: &'static str,
    method: &'static str,
    path: &'static str,
    input: &'static TypeDesc,
    retry_safe: bool,
) -> OperationDesc {
    OperationDesc {
        id,
        module: "t",
        name: id,
        kind: OperationKind::Command,
        method,
        path,
        permission: PermissionRule::Public,
        summary: "",
        description: "",
        input,
        output: None,
        result: None,
        status: 200,
        errors: &[],
        timeout_ms: 30_000,
        retry_safe,
        graphql: "",
        deprecated: None,
    }
}

static FIND_INPUT: TypeDesc = object(
    "FindInput",
    &[
        field("name", TEXT, RestPlace::Path),
        field("id", TEXT, RestPlace::Path),
        field("database", TEXT, RestPlace::Query),
        field(
            "columns",
            Ty::Array {
                items: &TEXT,
                min: None,
                max: None,
            },
            RestPlace::Query,
        ),
        field("filter", Ty::Json, RestPlace::Query),
        field("after", Ty::Cursor, RestPlace::Query),
    ],
);
static CHANGE_INPUT: TypeDesc = object(
    "ChangeInput",
    &[
        field("id", TEXT, RestPlace::Path),
        field("database", TEXT, RestPlace::Query),
        field("note", TEXT, RestPlace::Body),
    ],
);
static EITHER_INPUT: TypeDesc = object("EitherInput", &[field("database", TEXT, RestPlace::QueryOrBody)]);
static LOGIN_INPUT: TypeDesc = object(
    "LoginInput",
    &[
        field("username", TEXT, RestPlace::Body),
        field("password", TEXT, RestPlace::Body),
    ],
);
static REFRESH_INPUT: TypeDesc = object("RefreshInput", &[field("refresh_token", TEXT, RestPlace::Body)]);
static NOTHING: TypeDesc = object("NothingInput", &[]);

pub static FIND: OperationDesc = operation(
    "t.find",
    "GET",
    "/api/v1/tables/{name}/rows/{id}",
    &FIND_INPUT,
    true,
);
pub static CHANGE: OperationDesc = operation("t.change", "POST", "/api/v1/rows/{id}", &CHANGE_INPUT, false);
pub static TOUCH: OperationDesc = operation("t.touch", "POST", "/api/v1/touch", &NOTHING, false);
pub static EITHER_DELETE: OperationDesc = operation(
    "t.either_delete",
    "DELETE",
    "/api/v1/either",
    &EITHER_INPUT,
    false,
);
pub static EITHER_POST: OperationDesc =
    operation("t.either_post", "POST", "/api/v1/either", &EITHER_INPUT, false);
pub static LOGIN: OperationDesc = operation("auth.login", "POST", "/api/v1/auth/login", &LOGIN_INPUT, false);
pub static REFRESH: OperationDesc = operation(
    "auth.refresh",
    "POST",
    "/api/v1/auth/refresh",
    &REFRESH_INPUT,
    false,
);

static MADE: TypeDesc = object("Made", &[]);
static SOLD: TypeDesc = object("Sold", &[]);
static WATCH_INPUT: TypeDesc = object(
    "WatchInput",
    &[
        field("database", TEXT, RestPlace::Query),
        field("cursor", Ty::Cursor, RestPlace::Query),
    ],
);

const fn event(name: &'static str, message_type: &'static str, data: &'static TypeDesc) -> EventDesc {
    EventDesc {
        name,
        message_type,
        data,
    }
}

pub static MADE_VIEW: ViewDesc = ViewDesc {
    open: operation("t.made", "GET", "/api/v1/sse/made", &WATCH_INPUT, true),
    stream: "things",
    class: StreamClass::Changes,
    ws: None,
    ws_message: None,
    events: &[event("Made", "made", &MADE)],
    event_type: &MADE,
    is_record: true,
};
pub static EITHER_VIEW: ViewDesc = ViewDesc {
    open: operation("t.all", "GET", "/api/v1/sse/all", &WATCH_INPUT, true),
    stream: "things",
    class: StreamClass::Changes,
    ws: None,
    ws_message: None,
    events: &[event("Made", "made", &MADE), event("Sold", "sold", &SOLD)],
    event_type: &MADE,
    is_record: false,
};
pub static METER_VIEW: ViewDesc = ViewDesc {
    open: operation("t.meter", "GET", "/api/v1/sse/meter", &WATCH_INPUT, true),
    stream: "meters",
    class: StreamClass::Telemetry,
    ws: None,
    ws_message: None,
    events: &[event("Made", "made", &MADE)],
    event_type: &MADE,
    is_record: true,
};
