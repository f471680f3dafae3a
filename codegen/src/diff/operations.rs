//! Operations: routes, names, permissions, inputs and outputs; names of types.

use super::types::Direction;
use super::{Class, Differ};
use crate::model::{Operation, PermissionRule};

impl Differ<'_> {
    pub(super) fn operations(&mut self) {
        let (old_model, new_model) = (self.old, self.new);
        for old in old_model.operations() {
            match new_model.operation(&old.id) {
                Some(new) => self.operation(old, new),
                None => self.push(
                    Class::WireBreaking,
                    format!("operation {}", old.id),
                    "removed",
                    "it cannot be called any more",
                ),
            }
        }
        for new in new_model
            .operations()
            .filter(|new| old_model.operation(&new.id).is_none())
        {
            self.push(
                Class::Compatible,
                format!("operation {}", new.id),
                "added",
                "a new operation",
            );
        }
    }

    fn operation(&mut self, old: &Operation, new: &Operation) {
        let path = format!("operation {}", old.id);
        let route = |operation: &Operation| format!("{} {}", operation.method.as_str(), operation.path);
        let mut compare = |change: &'static str, class: Class, old: String, new: String| {
            if old != new {
                self.push(class, &path, change, format!("{new} instead of {old}"));
            }
        };
        compare("route", Class::WireBreaking, route(old), route(new));
        compare(
            "graphql",
            Class::WireBreaking,
            old.graphql.clone(),
            new.graphql.clone(),
        );
        compare(
            "kind",
            Class::WireBreaking,
            format!("{:?}", old.kind),
            format!("{:?}", new.kind),
        );
        compare(
            "status",
            Class::WireBreaking,
            old.status.to_string(),
            new.status.to_string(),
        );
        compare(
            "retry-safe",
            Class::Compatible,
            old.retry_safe.to_string(),
            new.retry_safe.to_string(),
        );
        compare(
            "timeout",
            Class::Compatible,
            old.timeout_ms.to_string(),
            new.timeout_ms.to_string(),
        );
        compare(
            "stability",
            Class::Compatible,
            format!("{:?}", old.stability),
            format!("{:?}", new.stability),
        );
        if old.permission != new.permission {
            let class = permission_class(&old.permission, &new.permission);
            self.push(
                class,
                &path,
                "permission",
                format!("{:?} instead of {:?}", new.permission, old.permission),
            );
        }
        if old.deprecated.is_none() && new.deprecated.is_some() {
            self.push(
                Class::Compatible,
                &path,
                "deprecated",
                "callers are told to use another",
            );
        }
        for interface in new
            .except
            .keys()
            .filter(|interface| !old.except.contains_key(interface))
        {
            self.push(
                Class::WireBreaking,
                &path,
                "interface-removed",
                format!("no longer on {interface:?}"),
            );
        }
        for interface in old
            .except
            .keys()
            .filter(|interface| !new.except.contains_key(interface))
        {
            self.push(
                Class::Compatible,
                &path,
                "interface-added",
                format!("now on {interface:?} too"),
            );
        }
        self.errors_and_pages(old, new, &path);
        self.named_types(&old.input, &new.input, Direction::Input);
        self.result(old, new, &path);
        match (&old.output, &new.output) {
            (Some(old), Some(new)) => self.named_types(old, new, Direction::Output),
            (None, None) => {}
            (None, Some(_)) => {
                // A GraphQL document without a selection is refused where there is an object now.
                self.push(
                    Class::WireBreaking,
                    path,
                    "output",
                    "it answers something now, which GraphQL callers must select",
                );
            }
            (Some(_), None) => self.push(Class::WireBreaking, path, "output", "it answers nothing any more"),
        }
    }

    fn result(&mut self, old: &Operation, new: &Operation, path: &str) {
        match (&old.result, &new.result) {
            (Some(old), Some(new)) => self.named_types(old, new, Direction::Output),
            (None, None) => {}
            (None, Some(_)) | (Some(_), None) => {
                self.push(
                    Class::WireBreaking,
                    path,
                    "result",
                    "it became a job, or is none any more",
                );
            }
        }
    }

    pub(super) fn errors_and_pages(&mut self, old: &Operation, new: &Operation, path: &str) {
        for code in new.errors.iter().filter(|code| !old.errors.contains(code)) {
            self.push(
                Class::Compatible,
                format!("{path} {code}"),
                "error-added",
                "it can answer that error now",
            );
        }
        for code in old.errors.iter().filter(|code| !new.errors.contains(code)) {
            self.push(
                Class::Compatible,
                format!("{path} {code}"),
                "error-removed",
                "it never answers that error now",
            );
        }
        match (&old.paginated, &new.paginated) {
            (Some(old), Some(new)) => {
                if old.items != new.items {
                    self.push(
                        Class::WireBreaking,
                        path,
                        "paging",
                        format!("items in `{}` instead of `{}`", new.items, old.items),
                    );
                }
                if old.default != new.default {
                    self.push(
                        Class::Compatible,
                        path,
                        "page-default",
                        format!("{} items a page instead of {}", new.default, old.default),
                    );
                }
            }
            (None, Some(_)) => self.push(
                Class::WireBreaking,
                path,
                "paging",
                "it answers a page where it answered all",
            ),
            (Some(_), None) => self.push(
                Class::SourceBreaking,
                path,
                "paging",
                "it has no pages any more; iterators go",
            ),
            (None, None) => {}
        }
    }

    /// Types whose names are gone or moved, whatever became of their values.
    pub(super) fn type_names(&mut self) {
        let (old_model, new_model) = (self.old, self.new);
        for old in old_model.types.values().filter(|old| old.input_of.is_none()) {
            let path = format!("type {}", old.name);
            match new_model.types.get(&old.name) {
                None => self.push(
                    Class::SourceBreaking,
                    path,
                    "removed",
                    "code that names the type does not build",
                ),
                Some(new) if new.module != old.module => {
                    self.push(
                        Class::SourceBreaking,
                        path,
                        "moved",
                        format!("in module `{}` instead of `{}`", new.module, old.module),
                    );
                }
                Some(_) => {}
            }
        }
        for new in new_model.types.values().filter(|new| new.input_of.is_none()) {
            if !old_model.types.contains_key(&new.name) {
                self.push(
                    Class::Compatible,
                    format!("type {}", new.name),
                    "added",
                    "a new type",
                );
            }
        }
    }
}

/// Asking for less breaks nobody; anything else may.
pub(super) fn permission_class(old: &PermissionRule, new: &PermissionRule) -> Class {
    match (old, new) {
        (_, PermissionRule::Public)
        | (PermissionRule::Permission(_) | PermissionRule::Statement { .. }, PermissionRule::Authenticated) => {
            Class::Compatible
        }
        _ => Class::WireBreaking,
    }
}
