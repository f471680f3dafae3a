//! Errors, roles and limits.

use super::types::Direction;
use super::{Class, Differ};

impl Differ<'_> {
    pub(super) fn table(&mut self) {
        self.errors();
        self.roles();
        self.limits();
    }

    fn errors(&mut self) {
        let (old_model, new_model) = (self.old, self.new);
        for (code, old) in &old_model.errors {
            let path = format!("error {code}");
            let Some(new) = new_model.errors.get(code) else {
                self.push(
                    Class::SourceBreaking,
                    path,
                    "removed",
                    "no operation answers it any more; clients lose its class",
                );
                continue;
            };
            if old.status != new.status {
                self.push(
                    Class::WireBreaking,
                    &path,
                    "status",
                    format!("status {} instead of {}", new.status, old.status),
                );
            }
            if old.rpc != new.rpc {
                self.push(
                    Class::WireBreaking,
                    &path,
                    "rpc",
                    format!("JSON-RPC code {} instead of {}", new.rpc, old.rpc),
                );
            }
            if old.retry != new.retry {
                let message = format!("retry is {:?} instead of {:?}", new.retry, old.retry).to_lowercase();
                self.push(Class::Compatible, &path, "retry", message);
            }
            if old.module != new.module {
                self.push(
                    Class::SourceBreaking,
                    &path,
                    "moved",
                    format!("declared in `{}` instead of `{}`", new.module, old.module),
                );
            }
            match (&old.details, &new.details) {
                (Some(old), Some(new)) => self.named_types(old, new, Direction::Output),
                (Some(_), None) => self.push(Class::WireBreaking, &path, "details", "no details any more"),
                (None, Some(_)) => self.push(Class::Compatible, &path, "details", "details are there now"),
                (None, None) => {}
            }
        }
        for code in new_model
            .errors
            .keys()
            .filter(|code| !old_model.errors.contains_key(*code))
        {
            self.push(
                Class::Compatible,
                format!("error {code}"),
                "added",
                "a new code; clients read it as unknown",
            );
        }
    }

    fn roles(&mut self) {
        let (old_model, new_model) = (self.old, self.new);
        for old in &old_model.roles {
            let path = format!("role {}", old.name);
            let Some(new) = new_model.roles.iter().find(|role| role.name == old.name) else {
                self.push(
                    Class::WireBreaking,
                    path,
                    "removed",
                    "users cannot have it any more",
                );
                continue;
            };
            for permission in old
                .permissions
                .iter()
                .filter(|permission| !new.permissions.contains(permission))
            {
                self.push(
                    Class::WireBreaking,
                    format!("{path} {permission}"),
                    "removed",
                    "the role lost the permission",
                );
            }
            for permission in new
                .permissions
                .iter()
                .filter(|permission| !old.permissions.contains(permission))
            {
                self.push(
                    Class::Compatible,
                    format!("{path} {permission}"),
                    "added",
                    "the role gained the permission",
                );
            }
        }
        for new in new_model
            .roles
            .iter()
            .filter(|role| !old_model.roles.iter().any(|old| old.name == role.name))
        {
            self.push(
                Class::Compatible,
                format!("role {}", new.name),
                "added",
                "a new role",
            );
        }
    }

    fn limits(&mut self) {
        let (old, new) = (&self.old.limits, &self.new.limits);
        let bounds: [(&str, u64, u64); 7] = [
            ("request_bytes", old.request_bytes, new.request_bytes),
            ("json_depth", old.json_depth.into(), new.json_depth.into()),
            (
                "rpc_batch_calls",
                old.rpc_batch_calls.into(),
                new.rpc_batch_calls.into(),
            ),
            (
                "graphql_depth",
                old.graphql_depth.into(),
                new.graphql_depth.into(),
            ),
            (
                "graphql_complexity",
                old.graphql_complexity.into(),
                new.graphql_complexity.into(),
            ),
            ("page_max", old.page_max.into(), new.page_max.into()),
            ("timeout_max_ms", old.timeout_max_ms, new.timeout_max_ms),
        ];
        for (name, old, new) in bounds {
            if old != new {
                let class = if new < old {
                    Class::WireBreaking
                } else {
                    Class::Compatible
                };
                self.push(
                    class,
                    format!("limit {name}"),
                    "changed",
                    format!("{new} instead of {old}"),
                );
            }
        }
    }
}
