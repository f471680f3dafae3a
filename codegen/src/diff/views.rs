//! Views of streams: routes, names, permissions, arguments and events.

use super::operations::permission_class;
use super::types::Direction;
use super::{Class, Differ};
use crate::model::{StreamClass, View};

impl Differ<'_> {
    pub(super) fn views(&mut self) {
        let (old_model, new_model) = (self.old, self.new);
        for old in old_model.views() {
            match new_model.view(&old.open.id) {
                Some(new) => self.view(old, new),
                None => self.push(
                    Class::WireBreaking,
                    format!("view {}", old.open.id),
                    "removed",
                    "it cannot be subscribed to any more",
                ),
            }
        }
        for new in new_model
            .views()
            .filter(|new| old_model.view(&new.open.id).is_none())
        {
            self.push(
                Class::Compatible,
                format!("view {}", new.open.id),
                "added",
                "a new view",
            );
        }
    }

    fn view(&mut self, old: &View, new: &View) {
        let path = format!("view {}", old.open.id);
        self.view_names(old, new, &path);
        if old.class != new.class {
            // Who counts on every change, and on a cursor, cannot do with less.
            let class = match new.class {
                StreamClass::Changes => Class::Compatible,
                StreamClass::Telemetry | StreamClass::Results => Class::WireBreaking,
            };
            self.push(
                class,
                &path,
                "class",
                format!("{:?} instead of {:?}", new.class, old.class),
            );
        }
        if old.open.permission != new.open.permission {
            self.push(
                permission_class(&old.open.permission, &new.open.permission),
                &path,
                "permission",
                format!("{:?} instead of {:?}", new.open.permission, old.open.permission),
            );
        }
        if old.open.stability != new.open.stability {
            self.push(
                Class::Compatible,
                &path,
                "stability",
                format!("{:?} instead of {:?}", new.open.stability, old.open.stability),
            );
        }
        self.errors_and_pages(&old.open, &new.open, &path);
        self.named_types(&old.open.input, &new.open.input, Direction::Input);
        self.events(old, new, &path);
    }

    fn view_names(&mut self, old: &View, new: &View, path: &str) {
        let route = |view: &View| format!("{} {}", view.open.method.as_str(), view.open.path);
        if route(old) != route(new) {
            let message = format!("{} instead of {}", route(new), route(old));
            self.push(Class::WireBreaking, path, "route", message);
        }
        if old.open.graphql != new.open.graphql {
            let message = format!("{} instead of {}", new.open.graphql, old.open.graphql);
            self.push(Class::WireBreaking, path, "graphql", message);
        }
        match (&old.ws, &new.ws) {
            (None, Some(new)) => self.push(
                Class::Compatible,
                path,
                "ws",
                format!("it has the WebSocket path {new} now"),
            ),
            (Some(old), None) => self.push(
                Class::WireBreaking,
                path,
                "ws",
                format!("the WebSocket path {old} is gone"),
            ),
            (Some(old), Some(new)) if old != new => {
                self.push(Class::WireBreaking, path, "ws", format!("{new} instead of {old}"));
            }
            _ => {}
        }
    }

    /// An event is known by its name, which is that of its type.
    fn events(&mut self, old: &View, new: &View, path: &str) {
        if old.is_record != new.is_record {
            let message = if new.is_record {
                "its payload in GraphQL is the record now, without `event` and `data`"
            } else {
                "its payload in GraphQL is `event` and `data` now, not the record"
            };
            self.push(Class::WireBreaking, path, "payload", message);
        }
        let event_path = |event: &str| format!("event {}.{event}", old.open.id);
        for event in &old.events {
            if new.events.contains(event) {
                self.named_types(event, event, Direction::Output);
            } else {
                self.push(
                    Class::WireBreaking,
                    event_path(event),
                    "removed",
                    "it comes no more, and who asks for it by name is refused",
                );
            }
        }
        for event in new.events.iter().filter(|event| !old.events.contains(event)) {
            self.push(
                Class::WireBreaking,
                event_path(event),
                "added",
                "who watches every event does not know its form",
            );
        }
    }
}
