//! The enumeration of error codes.

use proc_macro2::{Ident, TokenStream};
use quote::quote;

use crate::emit::rust::{self, doc, type_ident};
use crate::model::{ErrorDef, Model};

pub(super) fn emit(model: &Model) -> TokenStream {
    let variants = model.errors.values().map(|error| {
        let name = variant(error);
        let status = error.status;
        let doc = doc(&format!("{} Status {status}.", error.summary));
        quote!(#doc #name)
    });
    let paths = model
        .errors
        .values()
        .map(|error| (variant(error), rust::error_path(model, "", &error.code)));
    let descriptions = paths.map(|(name, path)| quote!(ErrorCode::#name => Some(&#path)));
    let parsed = model.errors.values().map(|error| {
        let (name, code) = (variant(error), &error.code);
        quote!(#code => ErrorCode::#name)
    });
    quote! {
        //! Error codes of the contract.

        use ::rustydb_contract::{ErrorDesc, Retry};

        #[doc = " Every error code of the contract; a server may know more."]
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            #(#variants,)*
            #[doc = " A code that this client does not know."]
            Unknown(::std::string::String),
        }

        impl ErrorCode {
            #[doc = " The contract's row for the code; `None` for a code that this client does not know."]
            pub fn desc(&self) -> Option<&'static ErrorDesc> {
                match self {
                    #(#descriptions,)*
                    ErrorCode::Unknown(_) => None,
                }
            }

            #[doc = " The code as on the wire."]
            pub fn as_str(&self) -> &str {
                match (self, self.desc()) {
                    (ErrorCode::Unknown(code), _) => code,
                    (_, desc) => desc.map_or("", |desc| desc.code),
                }
            }

            #[doc = " Whether the call may be sent again."]
            pub fn retry(&self) -> Retry {
                self.desc().map_or(Retry::Never, |desc| desc.retry)
            }
        }

        impl From<::std::string::String> for ErrorCode {
            fn from(code: ::std::string::String) -> ErrorCode {
                match code.as_str() {
                    #(#parsed,)*
                    _ => ErrorCode::Unknown(code),
                }
            }
        }

        impl ::std::fmt::Display for ErrorCode {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    }
}

fn variant(error: &ErrorDef) -> Ident {
    type_ident(&error.name)
}
