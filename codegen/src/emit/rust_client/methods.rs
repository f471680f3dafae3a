//! A module's methods.

use proc_macro2::TokenStream;
use quote::quote;

use super::api_ident;
use crate::emit::rust::{self, Holding, doc, field_ident, holding, static_ident};
use crate::model::{Model, Module, Operation, Paginated, PermissionRule, Shape, Stability, Ty};

pub(super) fn emit(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" {}", module.summary);
    let krate = rust::contract_crate(&module.name);
    let re_export = (!module.types.is_empty()).then(|| quote!(pub use ::#krate::types::*;));
    if module.operations.is_empty() {
        return quote!(#![doc = #text] #re_export);
    }
    let api = api_ident(&module.name);
    let api_doc = format!(" Operations of the `{}` module.", module.name);
    let methods = module
        .operations
        .values()
        .map(|operation| method(model, operation));
    quote! {
        #![doc = #text]

        #re_export

        #[doc = #api_doc]
        #[derive(Debug, Clone, Copy)]
        pub struct #api<'a> {
            pub(super) client: &'a crate::Client,
        }

        impl #api<'_> { #(#methods)* }
    }
}

fn method(model: &Model, operation: &Operation) -> TokenStream {
    let doc = doc(&documentation(model, operation));
    let deprecated = operation.deprecated.as_ref().map(|deprecated| {
        let (since, note) = (&deprecated.since, format!("use {}", deprecated.instead));
        quote!(#[deprecated(since = #since, note = #note)])
    });
    let name = field_ident(&operation.name);
    let input_type = type_path(model, &operation.input);
    let takes_input = !model.input_fields(operation).is_empty();
    let parameter = takes_input.then(|| quote!(, input: &#input_type));
    let input = if takes_input {
        quote!(input)
    } else {
        quote!(&#input_type {})
    };
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
    if operation.paginated.is_some() {
        text += "\n\nAnswers in pages; `items` of the call follows them.";
    }
    if !operation.errors.is_empty() {
        text += "\n\n# Errors\n";
        for code in &operation.errors {
            let summary = model.errors.get(code).map_or("", |error| error.summary.as_str());
            text += &format!("\n- `{code}`: {summary}");
        }
    }
    text
}
