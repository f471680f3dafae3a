//! The Rust client's methods, error codes and manifest.
//!
//! What the runtime must know of an operation stands in the contract crates already, so a generated method
//! only pairs an operation's descriptor with its types. A module `database` becomes `client.database()`, of
//! type `database::DatabaseApi`, beside the re-exported types of the module.

mod dispatch;
mod errors;
mod methods;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::rust::{self, doc, field_ident};
use crate::model::{Model, Module};
use crate::names;
use crate::output::{Emission, File};

const PACKAGE: &str = "clients/rust";
const FOLDER: &str = "clients/rust/src/generated";

pub fn emit(model: &Model) -> Emission {
    let source = |name: &str, tokens| rust::file(format!("{FOLDER}/{name}.rs"), tokens);
    let mut files = vec![
        File::new(format!("{PACKAGE}/Cargo.toml"), manifest(model)),
        source("mod", root(model)),
        source("error_code", errors::emit(model)),
        source("dispatch", dispatch::emit(model)),
    ];
    for module in model.modules.values() {
        let name = names::rust::value(&module.name);
        files.push(source(
            name.trim_start_matches("r#"),
            methods::emit(model, module),
        ));
    }
    Emission {
        files,
        folders: vec![FOLDER.to_owned()],
    }
}

/// Cargo asks for each contract crate by name, so the manifest changes with the modules.
fn manifest(model: &Model) -> String {
    let contracts: String = model
        .modules
        .keys()
        .map(|module| format!("rustydb-contract-{module} = {{ path = \"../../schema/gen/{module}\" }}\n"))
        .collect();
    let rest = format!(
        "[features]\n\
         # Calls by operation id, for the parity tests; builds the program rust-driver.\n\
         driver = [\"tokio/io-std\"]\n\n\
         [[bin]]\nname = \"rust-driver\"\nrequired-features = [\"driver\"]\n\n\
         [dependencies]\n\
         futures.workspace = true\n\
         percent-encoding.workspace = true\n\
         rand.workspace = true\n\
         reqwest.workspace = true\n\
         rustydb-contract.workspace = true\n\
         {contracts}\
         serde.workspace = true\n\
         serde_json.workspace = true\n\
         tokio.workspace = true\n\
         uuid.workspace = true\n\n\
         [dev-dependencies]\n\
         axum.workspace = true\n"
    );
    rust::manifest("rustydb-client", "Typed client of RustyDB.", &rest)
}

fn root(model: &Model) -> TokenStream {
    let modules = model.modules.values().map(|module| {
        let name = field_ident(&module.name);
        quote!(pub mod #name;)
    });
    let descriptions = model.modules.values().map(|module| {
        let krate = rust::contract_crate(&module.name);
        quote!(&::#krate::MODULE)
    });
    let accessors = model
        .modules
        .values()
        .filter(|module| module.has_service())
        .map(accessor);
    quote! {
        #(#modules)*
        #[cfg(feature = "driver")]
        pub(crate) mod dispatch;
        mod error_code;

        pub use error_code::ErrorCode;

        #[doc = " Every module of the contract this client was made from."]
        pub static MODULES: &[&::rustydb_contract::descriptor::ModuleDesc] = &[#(#descriptions),*];

        impl crate::Client { #(#accessors)* }
    }
}

fn accessor(module: &Module) -> TokenStream {
    let doc = doc(&module.summary);
    let name = field_ident(&module.name);
    let api = api_ident(&module.name);
    quote! {
        #doc
        pub fn #name(&self) -> #name::#api<'_> {
            #name::#api { client: self }
        }
    }
}

/// Type that carries a module's methods.
fn api_ident(module: &str) -> Ident {
    format_ident!("{}Api", names::pascal(module))
}
