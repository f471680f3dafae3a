//! A module's methods: one for each operation and each view.

use proc_macro2::TokenStream;
use quote::quote;

use super::api_ident;
use crate::emit::rust::{self, Holding, doc, field_ident, holding, static_ident};
use crate::model::{
    Model, Module, Operation, Paginated, PermissionRule, Shape, Stability, StreamClass, Ty, View,
};

pub(super) fn emit(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" {}", module.summary);
    let krate = rust::contract_crate(&module.name);
    let re_export = (!module.types.is_empty()).then(|| quote!(pub use ::#krate::types::*;));
    if !module.has_service() {
        return quote!(#![doc = #text] #re_export);
    }
    let api = api_ident(&module.name);
    let api_doc = match (module.operations.is_empty(), module.views.is_empty()) {
        (_, true) => format!(" Operations of the `{}` module.", module.name),
        (true, false) => format!(" Views of the streams of the `{}` module.", module.name),
        (false, false) => format!(" Operations and views of the `{}` module.", module.name),
    };
    let methods = module
        .operations
        .values()
        .map(|operation| method(model, operation));
    let openings = module.views.values().map(|view| opening(model, view));
    quote! {
        #![doc = #text]

        #re_export

        #[doc = #api_doc]
        #[derive(Debug, Clone, Copy)]
        pub struct #api<'a> {
            pub(super) client: &'a crate::Client,
        }

        impl #api<'_> { #(#methods)* #(#openings)* }
    }
}

fn method(model: &Model, operation: &Operation) -> TokenStream {
    let doc = doc(&documentation(model, operation));
    let deprecated = operation.deprecated.as_ref().map(|deprecated| {
        let (since, note) = (&deprecated.since, format!("use {}", deprecated.instead));
        quote!(#[deprecated(since = #since, note = #note)])
    });
    let name = field_ident(&operation.name);
    let (parameter, input) = input(model, operation);
    let krate = rust::contract_crate(&operation.module);
    let desc = static_ident(&operation.name);
    let output = output_type(model, operation);
    let call = quote!(crate::Call::new(self.client, &::#krate::operations::#desc, #input));
    match &operation.paginated {
        None => quote! {
            #doc
            #deprecated
            pub fn #name(&self #parameter) -> crate::Call<#output> { #call }
        },
        Some(paginated) => {
            let item = rust::ty(model, "", &paginated.item);
            let split = split(model, operation, paginated);
            quote! {
                #doc
                #deprecated
                pub fn #name(&self #parameter) -> crate::PagedCall<#output, #item> {
                    crate::PagedCall::new(#call, #split)
                }
            }
        }
    }
}

fn opening(model: &Model, view: &View) -> TokenStream {
    let doc = doc(&view_documentation(model, view));
    let name = field_ident(&view.open.name);
    let (parameter, input) = input(model, &view.open);
    let event = type_path(model, &view.event_type());
    let krate = rust::contract_crate(&view.open.module);
    let desc = static_ident(&view.open.name);
    quote! {
        #doc
        pub fn #name(&self #parameter) -> crate::ViewCall<#event> {
            crate::ViewCall::new(self.client, &::#krate::views::#desc, #input)
        }
    }
}

/// The parameter that takes the input, and the input as an expression.
fn input(model: &Model, operation: &Operation) -> (Option<TokenStream>, TokenStream) {
    let ty = type_path(model, &operation.input);
    if model.input_fields(operation).is_empty() {
        (None, quote!(&#ty {}))
    } else {
        (Some(quote!(, input: &#ty)), quote!(input))
    }
}

/// A closure that takes a page apart.
fn split(model: &Model, operation: &Operation, paginated: &Paginated) -> TokenStream {
    let items = field_ident(&paginated.items);
    let fields = match operation.output.as_ref().map(|output| &model.ty(output).shape) {
        Some(Shape::Object(object)) => object.fields.as_slice(),
        _ => &[],
    };
    let held = |name: &str| {
        fields
            .iter()
            .find(|field| field.name == name)
            .map(|field| holding(model, field))
    };
    let items = match held(&paginated.items) {
        Some(Holding::Nullable | Holding::Optional) => quote!(page.#items.unwrap_or_default()),
        Some(Holding::TriState) => quote!(page.#items.value().unwrap_or_default()),
        _ => quote!(page.#items),
    };
    let next = match held("next") {
        Some(Holding::TriState) => quote!(page.next.value()),
        _ => quote!(page.next),
    };
    quote!(|page| (#items, #next))
}

/// The answer's type, seen from the client.
pub(super) fn output_type(model: &Model, operation: &Operation) -> TokenStream {
    match &operation.output {
        Some(name) => type_path(model, name),
        None => quote!(::rustydb_contract::Empty),
    }
}

/// No module has the empty name, so every type's path names its crate.
pub(super) fn type_path(model: &Model, name: &str) -> TokenStream {
    rust::ty(model, "", &Ty::Ref(name.to_owned()))
}

fn documentation(model: &Model, operation: &Operation) -> String {
    let mut text = introduction(operation);
    if operation.paginated.is_some() {
        text += "\n\nAnswers in pages; `items` of the call follows them.";
    }
    text + &errors(model, operation)
}

fn view_documentation(model: &Model, view: &View) -> String {
    let mut text = introduction(&view.open);
    text += match view.class {
        StreamClass::Changes => "\n\nChanges: nothing is lost, and each event has a cursor to go on from.",
        StreamClass::Telemetry => "\n\nTelemetry: events may be lost, which is told.",
        StreamClass::Results => {
            "\n\nResults: they end by themselves; a lost connection ends the work and is an error."
        }
    };
    text + &errors(model, &view.open)
}

/// Summary, description, and who may since when.
fn introduction(operation: &Operation) -> String {
    let mut text = operation.summary.clone();
    if !operation.description.is_empty() {
        text += &format!("\n\n{}", operation.description.trim());
    }
    let needs = match &operation.permission {
        PermissionRule::Public => "no credentials".to_owned(),
        PermissionRule::Authenticated => "any valid credentials".to_owned(),
        PermissionRule::Permission(name) => format!("the permission `{name}`"),
        PermissionRule::Statement { .. } => "the permissions of the statements it is given".to_owned(),
    };
    text += &format!("\n\nNeeds {needs}. Since {}.", operation.since);
    match operation.stability {
        Stability::Stable => {}
        Stability::Beta => text += " Beta: details may change.",
        Stability::Experimental => text += " Experimental: it may change or go.",
    }
    text
}

fn errors(model: &Model, operation: &Operation) -> String {
    let mut text = String::new();
    if !operation.errors.is_empty() {
        text += "\n\n# Errors\n";
        for code in &operation.errors {
            let summary = model.errors.get(code).map_or("", |error| error.summary.as_str());
            text += &format!("\n- `{code}`: {summary}");
        }
    }
    text
}
