//! The driver's tables from the ids of operations and views to typed methods.

use proc_macro2::TokenStream;
use quote::quote;

use super::methods::type_path;
use crate::emit::rust::field_ident;
use crate::model::{Model, Operation, View};

pub(super) fn emit(model: &Model) -> TokenStream {
    let arms = model.operations().map(|operation| arm(model, operation));
    let views = model.views().map(|view| view_arm(model, view));
    quote! {
        //! Ids of operations and views to typed methods, for the driver.

        #[allow(unused_imports, reason = "a contract may have no paged operation and no view")]
        use crate::driver::{Dispatched, Failure, Watched, one, paged, typed, watched};

        #[allow(deprecated, reason = "a deprecated operation is called like any other until it goes")]
        pub(crate) fn dispatch(
            client: &crate::Client,
            operation: &str,
            input: ::serde_json::Value,
            iterate: bool,
        ) -> Dispatched {
            match operation {
                #(#arms,)*
                _ => Err(Failure::UnknownOperation),
            }
        }

        #[allow(unused_variables, reason = "a contract may have no view")]
        pub(crate) fn watch(client: &crate::Client, view: &str, input: ::serde_json::Value) -> Watched {
            let projected = input.get("fields").is_some();
            match view {
                #(#views,)*
                _ => Err(Failure::UnknownOperation),
            }
        }
    }
}

fn arm(model: &Model, operation: &Operation) -> TokenStream {
    let id = &operation.id;
    let module = field_ident(&operation.module);
    let method = field_ident(&operation.name);
    let send = if operation.paginated.is_some() {
        quote!(paged)
    } else {
        quote!(one)
    };
    let input = type_path(model, &operation.input);
    if model.input_fields(operation).is_empty() {
        quote! {
            #id => {
                typed::<#input>(input)?;
                #send(client.#module().#method(), iterate)
            }
        }
    } else {
        quote!(#id => #send(client.#module().#method(&typed::<#input>(input)?), iterate))
    }
}

fn view_arm(model: &Model, view: &View) -> TokenStream {
    let id = &view.open.id;
    let module = field_ident(&view.open.module);
    let method = field_ident(&view.open.name);
    let input = type_path(model, &view.open.input);
    quote!(#id => watched(client.#module().#method(&typed::<#input>(input)?), projected))
}
