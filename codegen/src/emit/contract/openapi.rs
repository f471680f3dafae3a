//! What utoipa asks of a module's operations, answered from the descriptors.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use crate::emit::api;
use crate::emit::rust::{static_ident, type_ident};
use crate::model::{Model, Module};

pub fn emit(model: &Model, module: &Module) -> TokenStream {
    let operations = module.operations.values().map(|operation| {
        let marker = type_ident(&operation.name);
        let desc = static_ident(&operation.name);
        quote!(operation!(crate::operations::#marker, &crate::operations::#desc);)
    });
    let bodies = module
        .operations
        .values()
        .filter(|operation| api::has_body(model, operation))
        .map(|operation| {
            let marker = format_ident!("{}Body", type_ident(&operation.name));
            let desc = static_ident(&operation.name);
            quote!(body!(crate::operations::#marker, &crate::operations::#desc);)
        });
    let views = module.views.values().map(|view| {
        let marker = type_ident(&view.open.name);
        let desc = static_ident(&view.open.name);
        let body = api::has_body(model, &view.open).then(|| {
            let body = format_ident!("{marker}Body");
            quote!(body!(crate::views::#body, &crate::views::#desc.open);)
        });
        quote! {
            operation!(crate::views::#marker, &crate::views::#desc.open);
            #body
        }
    });
    quote! {
        #![doc = " What utoipa asks of operations, answered from the descriptors."]

        #[allow(unused_imports, reason = "a module may have no body")]
        use ::rustydb_contract::{openapi_body as body, openapi_operation as operation};

        #(#operations)*

        #(#bodies)*

        #(#views)*
    }
}
