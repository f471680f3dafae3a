//! What is kept of contracts, and what counts as a change of one.
#![allow(clippy::unwrap_used, reason = "a failing test is to say so at once")]

use std::collections::BTreeSet;

use rustydb_contract::Timestamp;
use rustydb_contract::descriptor::{
    FieldDesc, IntegerWidth, ObjectDesc, OperationDesc, OperationKind, PermissionRule, Shape, Ty, TypeDesc,
};
use rustydb_contract::error::{ErrorDesc, Retry};
use rustydb_contract_core::access::{DATABASE_READ, SYSTEM_READ};
use tempfile::TempDir;

use super::history::{FILE, REVISIONS_MAX};
use super::shape::operation_text;
use super::{Change, Contract, History};

/// A contract of members like `a1`: the id, and the digit of its shape.
fn contract(members: &str) -> Contract {
    let members = members.split_whitespace().map(|member| {
        let (id, shape) = member.split_at(1);
        (id.to_owned(), shape.to_owned())
    });
    Contract::from_members(members.collect())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// Starts a server of each contract in turn, one a second.
fn serve(folder: &TempDir, contracts: &[&str]) -> History {
    let mut history = None;
    for (second, members) in contracts.iter().enumerate() {
        history = Some(History::note(folder.path(), contract(members), at(second as i64)));
    }
    history.unwrap()
}

/// Ids that were added, changed and removed.
fn told(history: &History, since: Option<&str>) -> [String; 3] {
    let revision = since.map(|members| contract(members).revision);
    let Change {
        added,
        changed,
        removed,
        ..
    } = history.change_since(revision.as_deref()).unwrap();
    [added, changed, removed].map(|ids| ids.join(" "))
}

fn lists(added: &str, changed: &str, removed: &str) -> [String; 3] {
    [added, changed, removed].map(str::to_owned)
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn of_the_first_contract_everything_is_added_and_stays_so_over_starts() {
    let folder = folder();
    for starts in 1..=3 {
        let history = serve(&folder, &vec!["a1 b1"; starts]);
        assert_eq!(told(&history, None), lists("a b", "", ""));
        let change = history.change_since(None).unwrap();
        assert_eq!(change.revision, contract("a1 b1").revision);
        assert_eq!(
            change.served_since,
            at(0),
            "a start of the same contract is no change"
        );
    }
}

#[test]
fn a_change_is_told_against_the_contract_before_and_against_any_that_is_known() {
    let history = serve(&folder(), &["a1 b1 c1", "a1 b2 d1", "a1 b2 d2 e1"]);
    assert_eq!(history.change_since(None).unwrap().served_since, at(2));
    assert_eq!(told(&history, None), lists("e", "d", ""));
    assert_eq!(told(&history, Some("a1 b1 c1")), lists("d e", "b", "c"));
    assert_eq!(told(&history, Some("a1 b2 d1")), lists("e", "d", ""));
    assert_eq!(told(&history, Some("a1 b2 d2 e1")), lists("", "", ""));
    assert_eq!(history.change_since(Some("of another server")), None);
}

#[test]
fn what_came_and_went_again_is_no_change() {
    let history = serve(&folder(), &["a1 b1", "a2 b1 c1", "a1 c1 d1", "a1 b1 d1"]);
    assert_eq!(told(&history, Some("a1 b1")), lists("d", "", ""));
    // An older build is started again, and then the newer one.
    let history = serve(&folder(), &["a1", "a1 b1", "a1", "a1 b1"]);
    assert_eq!(told(&history, Some("a1")), lists("b", "", ""));
    assert_eq!(told(&history, Some("a1 b1")), lists("", "", ""));
}

#[test]
fn a_history_that_is_damaged_is_begun_anew_and_kept_from_then_on() {
    let folder = folder();
    serve(&folder, &["a1", "a2"]);
    let file = folder.path().join(FILE);
    let good = std::fs::read_to_string(&file).unwrap();
    for damaged in [
        String::new(),
        good[..good.len() - 5].to_owned(),
        good.replace("\"format\":1", "\"format\":2"),
        good.replace("\"members\"", "\"parts\""),
        "\u{0}".repeat(good.len()),
    ] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(told(&serve(&folder, &["b1"]), None), lists("b", "", ""));
        assert_eq!(told(&serve(&folder, &["b2"]), None), lists("", "b", ""));
    }
}

#[test]
fn a_history_that_cannot_be_kept_is_told_all_the_same() {
    let folder = folder();
    std::fs::create_dir(folder.path().join(FILE)).unwrap();
    let history = serve(&folder, &["a1"]);
    assert_eq!(told(&history, None), lists("a", "", ""));
}

#[test]
fn the_oldest_contracts_are_forgotten() {
    let folder = folder();
    let name = |at: usize| format!("a{at}");
    for at in 0..=REVISIONS_MAX {
        serve(&folder, &[&name(at)]);
    }
    let history = serve(&folder, &[&name(REVISIONS_MAX)]);
    let forgotten = contract(&name(0)).revision;
    assert_eq!(history.change_since(Some(&forgotten)), None);
    assert_eq!(told(&history, Some(&name(1))), lists("", "a", ""));
}

static NUMBER: Ty = Ty::Integer {
    width: IntegerWidth::UInt32,
    minimum: 1,
    maximum: 10,
};

const fn field(name: &'static str, ty: Ty) -> FieldDesc {
    FieldDesc {
        name,
        description: "",
        ty,
        required: true,
        nullable: false,
        default: None,
        sensitive: false,
        place: None,
        deprecated: None,
    }
}

fn object(name: &'static str, fields: Vec<FieldDesc>) -> &'static TypeDesc {
    Box::leak(Box::new(TypeDesc {
        name,
        description: "",
        shape: Shape::Object(ObjectDesc {
            fields: fields.leak(),
            exactly_one_of: &[],
        }),
    }))
}

fn operation() -> OperationDesc {
    let inner = object(
        "Inner",
        vec![field(
            "n",
            Ty::Array {
                items: &NUMBER,
                min: None,
                max: None,
            },
        )],
    );
    OperationDesc {
        id: "module.name",
        module: "module",
        name: "name",
        kind: OperationKind::Query,
        method: "GET",
        path: "/api/v1/name",
        permission: PermissionRule::Needs(DATABASE_READ),
        summary: "",
        description: "",
        input: object("Input", vec![field("a", Ty::Boolean), field("b", Ty::Ref(inner))]),
        output: Some(inner),
        result: None,
        status: 200,
        errors: &[],
        timeout_ms: 1_000,
        retry_safe: true,
        graphql: "moduleName",
        deprecated: None,
    }
}

fn text(change: impl FnOnce(&mut OperationDesc)) -> String {
    let mut operation = operation();
    change(&mut operation);
    operation_text(Box::leak(Box::new(operation)))
}

fn with_fields(fields: Vec<FieldDesc>) -> String {
    text(|operation| operation.input = object("Input", fields))
}

#[test]
fn what_a_caller_can_see_of_an_operation_changes_its_shape() {
    static GONE: ErrorDesc = ErrorDesc {
        code: "GONE",
        status: 404,
        rpc: -1,
        retry: Retry::Never,
        summary: "",
        details: None,
    };
    static ERRORS: [&ErrorDesc; 1] = [&GONE];
    let wider = Ty::Integer {
        width: IntegerWidth::UInt32,
        minimum: 1,
        maximum: 11,
    };
    let inner = |ty| object("Inner", vec![field("n", ty)]);
    let optional = FieldDesc {
        required: false,
        ..field("a", Ty::Boolean)
    };
    let nullable = FieldDesc {
        nullable: true,
        ..field("a", Ty::Boolean)
    };
    let shapes = [
        text(|_| {}),
        text(|operation| operation.method = "POST"),
        text(|operation| operation.path = "/api/v1/names"),
        text(|operation| operation.permission = PermissionRule::Needs(SYSTEM_READ)),
        text(|operation| operation.permission = PermissionRule::Authenticated),
        text(|operation| operation.graphql = "name"),
        text(|operation| operation.status = 201),
        text(|operation| operation.output = None),
        text(|operation| operation.result = operation.output),
        text(|operation| operation.errors = &ERRORS),
        text(|operation| operation.kind = OperationKind::Command),
        with_fields(vec![field("a", Ty::Boolean)]),
        with_fields(vec![optional]),
        with_fields(vec![nullable]),
        with_fields(vec![field("a", Ty::Uuid)]),
        with_fields(vec![field("a", wider)]),
        with_fields(vec![field("a", Ty::Ref(inner(Ty::Boolean)))]),
        with_fields(vec![field("a", Ty::Ref(inner(Ty::Uuid)))]),
    ];
    let different: BTreeSet<&String> = shapes.iter().collect();
    assert_eq!(different.len(), shapes.len(), "{shapes:#?}");
}

#[test]
fn texts_for_people_and_the_order_of_fields_leave_the_shape_as_it_is() {
    let plain = with_fields(vec![field("a", Ty::Boolean), field("b", Ty::Uuid)]);
    let described = FieldDesc {
        description: "Described.",
        ..field("a", Ty::Boolean)
    };
    assert_eq!(with_fields(vec![field("b", Ty::Uuid), described]), plain);
    let silent = text(|_| {});
    assert_eq!(text(|operation| operation.summary = "Summed up."), silent);
    assert_eq!(text(|operation| operation.timeout_ms = 2_000), silent);
}

/// A type that holds itself is written once.
#[test]
fn a_type_within_itself_has_a_shape() {
    static TREE: TypeDesc = TypeDesc {
        name: "Tree",
        description: "",
        shape: Shape::Object(ObjectDesc {
            fields: &[field(
                "children",
                Ty::Array {
                    items: &Ty::Ref(&TREE),
                    min: None,
                    max: None,
                },
            )],
            exactly_one_of: &[],
        }),
    };
    let recursive = text(|operation| operation.output = Some(&TREE));
    assert_eq!(recursive.matches("children").count(), 1, "{recursive}");
}
