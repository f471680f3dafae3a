//! A module's operations: their descriptors, one marker type each, and the service trait.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

use super::{service_ident, views};
use crate::emit::api;
use crate::emit::rust::{self, doc, field_ident, static_ident, type_ident};
use crate::model::{Kind, Model, Module, Operation, PermissionRule};
use crate::resolve::CORE;

/// A marker is named after its operation, which may be `Some` or `Box`: what is written in terms of the prelude
/// stands in modules of its own.
pub fn emit(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" Operations of the `{}` module.", module.name);
    let bodies = module
        .operations
        .values()
        .filter(|operation| api::has_body(model, operation))
        .map(body_marker);
    if !module.has_service() {
        return quote!(#![doc = #text]);
    }
    let service = service_ident(&module.name);
    let descriptors = module
        .operations
        .values()
        .map(|operation| descriptor(model, operation));
    let markers = module
        .operations
        .values()
        .map(|operation| marker(model, module, operation));
    let methods = module
        .operations
        .values()
        .map(|operation| method(model, operation));
    let openings = module.views.values().map(|view| views::method(model, view));
    let table = (!module.operations.is_empty()).then(|| {
        quote!(
            pub use self::table::*;
        )
    });
    let service_doc = format!(
        " What stands behind the `{}` module: one call an operation, one an opening of a stream.",
        module.name
    );
    quote! {
        #![doc = #text]

        pub use self::service::#service;
        #table

        mod service {
            #[doc = #service_doc]
            #[::rustydb_contract::async_trait]
            pub trait #service: Send + Sync + 'static { #(#methods)* #(#openings)* }
        }

        mod table {
            #[allow(unused_imports, reason = "a module may have views alone")]
            use ::rustydb_contract::descriptor::{OperationDesc, OperationKind, PermissionRule};

            #(#descriptors)*
        }

        #(#markers)*

        #(#bodies)*
    }
}

/// Stands for the part of an input that REST sends in the body.
pub(super) fn body_marker(operation: &Operation) -> TokenStream {
    let doc = format!(" What REST sends in the body of `{}`.", operation.id);
    let name = format_ident!("{}Body", type_ident(&operation.name));
    quote! {
        #[doc = #doc]
        #[derive(Debug, Clone, Copy)]
        pub struct #name;
    }
}

fn output(model: &Model, operation: &Operation) -> TokenStream {
    match &operation.output {
        Some(name) => rust::type_path(model, &operation.module, name),
        None => quote!(::rustydb_contract::Empty),
    }
}

fn method(model: &Model, operation: &Operation) -> TokenStream {
    let doc = doc(&format!("{}\n\n{}", operation.summary, operation.description));
    let name = field_ident(&operation.name);
    let input = rust::type_path(model, &operation.module, &operation.input);
    let output = output(model, operation);
    quote! {
        #doc
        async fn #name(
            &self,
            context: &::rustydb_contract::CallContext,
            input: #input,
        ) -> ::rustydb_contract::ServiceResult<#output>;
    }
}

fn descriptor(model: &Model, operation: &Operation) -> TokenStream {
    let ident = static_ident(&operation.name);
    let value = description(model, operation);
    quote!(pub static #ident: OperationDesc = #value;)
}

/// The descriptor's value.
pub(super) fn description(model: &Model, operation: &Operation) -> TokenStream {
    let home = &operation.module;
    let kind = match operation.kind {
        Kind::Query => quote!(Query),
        Kind::Command => quote!(Command),
        Kind::Job => quote!(Job),
        Kind::Stream => quote!(Stream),
    };
    let permission = match &operation.permission {
        PermissionRule::Public => quote!(PermissionRule::Public),
        PermissionRule::Authenticated => quote!(PermissionRule::Authenticated),
        PermissionRule::Statement { fields } => quote!(PermissionRule::Statement { fields: &[#(#fields),*] }),
        PermissionRule::Permission(name) => {
            let constant = static_ident(name);
            let krate = if home == CORE {
                quote!(crate)
            } else {
                let krate = rust::contract_crate(CORE);
                quote!(::#krate)
            };
            quote!(PermissionRule::Needs(#krate::access::#constant))
        }
    };
    let input = rust::desc_path(model, home, &operation.input);
    let output = match &operation.output {
        Some(name) => {
            let path = rust::desc_path(model, home, name);
            quote!(Some(&#path))
        }
        None => quote!(None),
    };
    let result = match &operation.result {
        Some(name) => {
            let path = rust::desc_path(model, home, name);
            quote!(Some(&#path))
        }
        None => quote!(None),
    };
    let errors = operation.errors.iter().map(|code| {
        let path = rust::error_path(model, home, code);
        quote!(&#path)
    });
    let deprecated = match &operation.deprecated {
        Some(deprecated) => {
            let instead = &deprecated.instead;
            quote!(Some(#instead))
        }
        None => quote!(None),
    };
    let method = operation.method.as_str();
    let timeout_ms = Literal::u64_unsuffixed(operation.timeout_ms);
    let Operation {
        id,
        module,
        name,
        path,
        summary,
        description,
        status,
        retry_safe,
        graphql,
        ..
    } = operation;
    quote! {
        OperationDesc {
            id: #id,
            module: #module,
            name: #name,
            kind: OperationKind::#kind,
            method: #method,
            path: #path,
            permission: #permission,
            summary: #summary,
            description: #description,
            input: &#input,
            output: #output,
            result: #result,
            status: #status,
            errors: &[#(#errors),*],
            timeout_ms: #timeout_ms,
            retry_safe: #retry_safe,
            graphql: #graphql,
            deprecated: #deprecated,
        }
    }
}

fn marker(model: &Model, module: &Module, operation: &Operation) -> TokenStream {
    let doc = doc(&operation.summary);
    let marker = type_ident(&operation.name);
    let desc = static_ident(&operation.name);
    let service = service_ident(&module.name);
    let method = field_ident(&operation.name);
    let input = rust::type_path(model, &operation.module, &operation.input);
    let output = output(model, operation);
    quote! {
        #doc
        #[derive(Debug, Clone, Copy)]
        pub struct #marker;

        impl ::rustydb_contract::Operation for #marker {
            type Service = dyn #service;
            type Input = #input;
            type Output = #output;

            fn desc() -> &'static ::rustydb_contract::descriptor::OperationDesc {
                &#desc
            }

            fn call<'a>(
                service: &'a Self::Service,
                context: &'a ::rustydb_contract::CallContext,
                input: Self::Input,
            ) -> ::rustydb_contract::AnswerFuture<'a, Self::Output> {
                service.#method(context, input)
            }
        }
    }
}
