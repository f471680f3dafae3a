//! The driver's table from operation id to typed method.

use proc_macro2::TokenStream;
use quote::quote;

use super::methods::type_path;
use crate::emit::rust::field_ident;
use crate::model::{Model, Operation};

pub(super) fn emit(model: &Model) -> TokenStream {
    let arms = model.operations().map(|operation| arm(model, operation));
    quote! {
        //! Operation id to typed method, for the driver.

        #[allow(unused_imports, reason = "a contract may have no paged operation")]
        use crate::driver::{Dispatched, Failure, one, paged, typed};

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
