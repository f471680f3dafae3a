//! Operations: routes, inputs and where REST carries them, permissions, errors, examples.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{At, CORE, Resolver};
use crate::language::{
    Example as ExampleForm, InputPlace, Kind, OperationDef, Paginated as PaginatedForm, PermissionRef,
    Schema, Step as StepForm,
};
use crate::load::LoadedModule;
use crate::model::{
    Deprecated, Example, Field, Integer, IntegerWidth, Method, Object, Operation, Paginated, PermissionRule,
    RestPlace, Shape, Step, Ty,
};
use crate::names;

impl<'a> Resolver<'a> {
    pub(super) fn resolve_operations(
        &mut self,
        module: &'a LoadedModule,
        at: &At<'a>,
    ) -> BTreeMap<String, Operation> {
        let mut operations = BTreeMap::new();
        for (name, form) in &module.file.operations {
            if let Some(operation) = self.resolve_operation(name, form, &at.push(name)) {
                operations.insert(name.clone(), operation);
            }
        }
        operations
    }

    fn resolve_operation(&mut self, name: &str, form: &OperationDef, at: &At<'a>) -> Option<Operation> {
        let module = at.module_name();
        let (method, path) = self.resolve_route(&form.rest, &at.push("rest"))?;
        let output_schema = form.output.as_ref();
        let output =
            output_schema.and_then(|schema| self.resolve_output(module, name, schema, &at.push("output")));
        let result = form.result.as_ref();
        let result = result.and_then(|schema| self.resolve_output(module, name, schema, &at.push("result")));
        let paginated = form
            .paginated
            .as_ref()
            .and_then(|paging| self.resolve_paging(paging, output.as_deref(), &at.push("paginated")));
        let added = paginated.as_ref().map_or_else(Vec::new, |paginated| {
            paging_fields(paginated, &at.push("input")).into()
        });
        let input_form = InputForm {
            schema: form.input.as_ref(),
            key: "input",
            added,
        };
        let input = self.resolve_input(name, input_form, method, &path, at);
        let permission = self.resolve_permission(&form.permission, &input, &at.push("permission"));
        let errors = self.resolve_error_names(&form.errors, &at.push("errors"));
        let graphql = form
            .graphql
            .clone()
            .unwrap_or_else(|| names::graphql::root_field(module, name));
        Some(Operation {
            id: format!("{module}.{name}"),
            name: name.to_owned(),
            module: module.to_owned(),
            kind: form.kind,
            method,
            path,
            permission,
            summary: form.summary.clone(),
            description: form.description.clone().unwrap_or_default(),
            input,
            output,
            result,
            status: form
                .status
                .unwrap_or(if form.kind == Kind::Job { 202 } else { 200 }),
            errors,
            paginated,
            timeout_ms: form.timeout_ms.unwrap_or(self.model.limits.timeout_ms),
            retry_safe: form.retry_safe || form.kind == Kind::Query,
            since: form.since.clone(),
            stability: form.stability,
            deprecated: form.deprecated.as_ref().map(|form| Deprecated {
                since: form.since.clone(),
                instead: form.instead.clone(),
            }),
            graphql,
            except: form
                .except
                .iter()
                .map(|(interface, reason)| (*interface, reason.clone()))
                .collect(),
            examples: form.examples.iter().map(resolve_example).collect(),
            place: at.place(),
        })
    }

    fn resolve_route(&mut self, rest: &str, at: &At<'_>) -> Option<(Method, String)> {
        let (word, path) = rest.split_once(' ').unwrap_or((rest, ""));
        let method = match word {
            "GET" => Some(Method::Get),
            "POST" => Some(Method::Post),
            "PUT" => Some(Method::Put),
            "PATCH" => Some(Method::Patch),
            "DELETE" => Some(Method::Delete),
            _ => None,
        };
        let sound =
            path.starts_with('/') && !path.ends_with('/') && path.split('/').skip(1).all(sound_segment);
        match method {
            Some(method) if sound => Some((method, path.to_owned())),
            _ => {
                self.report(
                    at,
                    "route",
                    format!("`{rest}` is no route"),
                    "write a method and a path, such as `GET /api/v1/tables/{name}`",
                );
                None
            }
        }
    }

    fn resolve_output(&mut self, module: &str, name: &str, schema: &Schema, at: &At<'a>) -> Option<String> {
        if let Schema::Body(body) = schema
            && body.reference.is_none()
            && !body.properties.is_empty()
        {
            let type_name = format!("{}{}Output", names::pascal(module), names::pascal(name));
            self.claim_type(&type_name, at);
            let object = self.resolve_object(body, at);
            let description = body.description.clone().unwrap_or_default();
            self.add_type(&type_name, description, Shape::Object(object), None, at);
            return Some(type_name);
        }
        self.object_name(schema, at)
    }

    pub(super) fn resolve_input(
        &mut self,
        name: &str,
        form: InputForm<'_>,
        method: Method,
        path: &str,
        at: &At<'a>,
    ) -> String {
        let type_name = format!("{}{}Input", names::pascal(at.module_name()), names::pascal(name));
        let input_at = at.push(form.key);
        self.claim_type(&type_name, &input_at);
        let mut places = BTreeMap::new();
        let mut object = match form.schema {
            None => Object::default(),
            Some(Schema::Body(body)) if body.reference.is_none() => {
                for (field, schema) in &body.properties {
                    if let Schema::Body(body) = schema {
                        places.insert(field.clone(), body.place);
                    }
                }
                self.resolve_object(body, &input_at)
            }
            Some(_) => {
                self.report(
                    &input_at,
                    "input-shape",
                    "an input spells its fields out".to_owned(),
                    "write an object with `properties` here",
                );
                Object::default()
            }
        };
        object.fields.extend(form.added);
        let parameters: Vec<&str> = path_parameters(path).collect();
        for parameter in &parameters {
            if !object.fields.iter().any(|field| field.name == *parameter) {
                self.report(
                    &at.push("rest"),
                    "path-parameter",
                    format!("the path names `{{{parameter}}}`, which is no input"),
                    "add it to `input.properties` and `required`",
                );
            }
        }
        for field in &mut object.fields {
            let declared = places.get(&field.name).copied().flatten();
            field.place_rest = Some(rest_place(&field.name, declared, method, &parameters));
        }
        let description = format!("Input of `{}.{name}`.", at.module_name());
        let input_of = Some(format!("{}.{name}", at.module_name()));
        self.add_type(
            &type_name,
            description,
            Shape::Object(object),
            input_of,
            &input_at,
        );
        type_name
    }

    fn resolve_paging(
        &mut self,
        form: &PaginatedForm,
        output: Option<&str>,
        at: &At<'a>,
    ) -> Option<Paginated> {
        let items = output.and_then(|output| self.output_items(output, &form.items));
        let Some(item) = items else {
            self.report(
                at,
                "paging",
                format!("the output has no array `{}`", form.items),
                "a paginated output has an array of items and an optional `next: cursor`",
            );
            return None;
        };
        let limits = &self.model.limits;
        Some(Paginated {
            items: form.items.clone(),
            item,
            default: form.default.unwrap_or(limits.page_default),
            max: form.max.unwrap_or(limits.page_max),
        })
    }

    /// Item type of the array field of an output that also has the optional cursor `next`.
    fn output_items(&self, output: &str, items: &str) -> Option<Ty> {
        let Shape::Object(object) = &self.model.types.get(output)?.shape else {
            return None;
        };
        let next = object.fields.iter().find(|field| field.name == "next")?;
        if next.ty != Ty::Cursor || next.required {
            return None;
        }
        match &object.fields.iter().find(|field| field.name == items)?.ty {
            Ty::Array { items, .. } => Some((**items).clone()),
            _ => None,
        }
    }

    pub(super) fn resolve_permission(
        &mut self,
        form: &PermissionRef,
        input: &str,
        at: &At<'_>,
    ) -> PermissionRule {
        match form {
            PermissionRef::Name(name) if name == "public" => PermissionRule::Public,
            PermissionRef::Name(name) if name == "authenticated" => PermissionRule::Authenticated,
            PermissionRef::Name(name) => {
                if !self
                    .model
                    .permissions
                    .iter()
                    .any(|permission| permission.name == *name)
                {
                    self.report(at, "unknown-permission", format!("there is no permission `{name}`"), "use one that core.yaml declares, `public`, `authenticated` or `{by: statement, field: ...}`");
                }
                self.uses.insert(CORE.to_owned());
                PermissionRule::Permission(name.clone())
            }
            PermissionRef::By(by) => {
                let fields: Vec<String> = by.field.split(',').map(|field| field.trim().to_owned()).collect();
                for field in &fields {
                    if !self.has_statement_field(input, field) {
                        self.report(
                            &at.push("field"),
                            "statement-field",
                            format!("the input has no text field `{field}`"),
                            "name an input field that holds a statement or a list of them",
                        );
                    }
                }
                PermissionRule::Statement { fields }
            }
        }
    }

    fn has_statement_field(&self, input: &str, name: &str) -> bool {
        let Some(Shape::Object(object)) = self.model.types.get(input).map(|found| &found.shape) else {
            return false;
        };
        object.fields.iter().any(|field| {
            field.name == name
                && match &field.ty {
                    Ty::Text(_) => true,
                    Ty::Array { items, .. } => matches!(**items, Ty::Text(_)),
                    _ => false,
                }
        })
    }

    pub(super) fn resolve_error_names(&mut self, forms: &[String], at: &At<'_>) -> Vec<String> {
        let mut codes = Vec::new();
        for (index, name) in forms.iter().enumerate() {
            let at = at.push(&index.to_string());
            let full = if name.contains('.') {
                name.clone()
            } else {
                format!("{}.{name}", at.module_name())
            };
            let home = full.split('.').next().unwrap_or_default().to_owned();
            match self.error_codes.get(&full) {
                Some(_) if home == CORE => {
                    self.report(
                        &at,
                        "common-error",
                        format!("every call can answer `{name}`"),
                        "leave it out",
                    );
                }
                Some(code) => {
                    codes.push(code.clone());
                    self.uses.insert(home);
                }
                None => self.report(
                    &at,
                    "unknown-error",
                    format!("there is no error `{name}`"),
                    "declare it under `errors`, or name its module: `database.TableNotFound`",
                ),
            }
        }
        codes.sort();
        codes.dedup();
        codes
    }
}

/// Where an input's fields come from.
pub(super) struct InputForm<'f> {
    pub(super) schema: Option<&'f Schema>,
    /// Key of the schema in its file.
    pub(super) key: &'static str,
    /// Fields that the generator adds.
    pub(super) added: Vec<Field>,
}

fn resolve_example(form: &ExampleForm) -> Example {
    Example {
        name: form.name.clone(),
        summary: form.summary.clone().unwrap_or_default(),
        given: form.given.iter().map(resolve_step).collect(),
        role: role(form.role.as_deref()),
        input: object(form.input.as_ref()),
        output: form.output.clone(),
        error: form.error.clone(),
        then: Vec::new(),
        events: Vec::new(),
    }
}

pub(super) fn resolve_step(step: &StepForm) -> Step {
    Step {
        call: step.call.clone(),
        role: role(step.role.as_deref()),
        repeat: step.repeat.unwrap_or(1),
        background: step.background,
        input: object(step.input.as_ref()),
        save: step.save.clone(),
        error: step.error.clone(),
    }
}

/// Who makes a call of an example.
pub(super) fn role(given: Option<&str>) -> String {
    given.unwrap_or("admin").to_owned()
}

pub(super) fn object(given: Option<&Value>) -> Value {
    given.cloned().unwrap_or_else(|| Value::Object(Map::new()))
}

/// Names in braces of a path.
pub fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

fn sound_segment(segment: &str) -> bool {
    let name = segment
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(segment);
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn rest_place(name: &str, declared: Option<InputPlace>, method: Method, parameters: &[&str]) -> RestPlace {
    if parameters.contains(&name) {
        return RestPlace::Path;
    }
    match declared {
        Some(InputPlace::Query) => RestPlace::Query,
        Some(InputPlace::Body) => RestPlace::Body,
        Some(InputPlace::QueryOrBody) => RestPlace::QueryOrBody,
        None if method.has_body() => RestPlace::Body,
        None => RestPlace::Query,
    }
}

/// An optional field that the generator adds to an input.
pub(super) fn added_field(
    name: &str,
    description: &str,
    ty: Ty,
    default: Option<Value>,
    at: &At<'_>,
) -> Field {
    Field {
        name: name.to_owned(),
        description: description.to_owned(),
        ty,
        required: false,
        nullable: false,
        default,
        sensitive: false,
        place_rest: None,
        deprecated: None,
        since: None,
        place: at.place(),
    }
}

fn paging_fields(paginated: &Paginated, at: &At<'_>) -> [Field; 2] {
    let limit = Ty::Integer(Integer {
        width: IntegerWidth::UInt32,
        minimum: 1,
        maximum: i64::from(paginated.max),
        unit: None,
    });
    [
        added_field(
            "limit",
            "Most items to answer.",
            limit,
            Some(json!(paginated.default)),
            at,
        ),
        added_field("after", "The `next` of the page before.", Ty::Cursor, None, at),
    ]
}
