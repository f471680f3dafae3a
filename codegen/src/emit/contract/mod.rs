//! Contract crates, one a module: types, descriptors, errors, operations and the service trait.

mod descriptors;
mod openapi;
mod operations;
mod types;
mod views;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::rust::{self, doc};
use crate::model::{Model, Module, Retry};
use crate::names;
use crate::output::{Emission, File};

/// Where the crates lie.
const FOLDER: &str = "schema/gen";

pub fn emit(model: &Model) -> Emission {
    let files = model
        .modules
        .values()
        .flat_map(|module| module_crate(model, module))
        .collect();
    Emission {
        files,
        folders: vec![FOLDER.to_owned()],
    }
}

fn module_crate(model: &Model, module: &Module) -> Vec<File> {
    let folder = format!("{FOLDER}/{}", module.name);
    let source = |name: &str, tokens| rust::file(format!("{folder}/src/{name}.rs"), tokens);
    let mut files = vec![
        File::new(format!("{folder}/Cargo.toml"), manifest(module)),
        source("lib", library(module)),
        source("module", description(module)),
        source("types", types::emit(model, module)),
        source("desc", descriptors::types(model, module)),
        source("errors", errors(model, module)),
        source("operations", operations::emit(model, module)),
    ];
    if module.has_service() {
        files.push(source("openapi", openapi::emit(model, module)));
    }
    if !module.views.is_empty() {
        files.push(source("views", views::emit(model, module)));
    }
    if module.name == crate::resolve::CORE {
        files.push(source("access", access(model)));
    }
    files
}

fn manifest(module: &Module) -> String {
    let name = format!("rustydb-contract-{}", module.name);
    let description = format!("The `{}` module of RustyDB's contract.", module.name);
    let mut features = "[features]\nopenapi = [\"rustydb-contract/openapi\"".to_owned();
    let mut dependencies = "rustydb-contract.workspace = true\nserde.workspace = true\n".to_owned();
    for other in &module.depends_on {
        features += &format!(", \"rustydb-contract-{other}/openapi\"");
        dependencies += &format!("rustydb-contract-{other} = {{ path = \"../{other}\" }}\n");
    }
    rust::manifest(
        &name,
        &description,
        &format!("{features}]\n\n[dependencies]\n{dependencies}"),
    )
}

fn library(module: &Module) -> TokenStream {
    let text = format!("{}\n\n{}", module.summary, module.description);
    let lines = text.trim().lines().map(|line| {
        let line = if line.is_empty() {
            String::new()
        } else {
            format!(" {line}")
        };
        quote!(#![doc = #line])
    });
    let access = (module.name == crate::resolve::CORE).then(|| {
        quote! {
            #[rustfmt::skip]
            pub mod access;
        }
    });
    let service = module.has_service().then(|| {
        let service = service_ident(&module.name);
        quote!(pub use operations::#service;)
    });
    let views = (!module.views.is_empty()).then(|| {
        quote! {
            #[rustfmt::skip]
            pub mod views;
        }
    });
    let openapi = module.has_service().then(|| {
        quote! {
            #[cfg(feature = "openapi")]
            #[rustfmt::skip]
            mod openapi;
        }
    });
    let re_export = (!module.types.is_empty()).then(|| {
        quote!(
            pub use types::*;
        )
    });
    quote! {
        #(#lines)*

        #access
        #[rustfmt::skip]
        pub mod desc;
        #[rustfmt::skip]
        pub mod errors;
        #[rustfmt::skip]
        mod module;
        #openapi
        #[rustfmt::skip]
        pub mod operations;
        #[rustfmt::skip]
        pub mod types;
        #views

        pub use module::MODULE;
        #service
        #re_export
    }
}

fn description(module: &Module) -> TokenStream {
    let name = &module.name;
    let summary = &module.summary;
    let operations = module.operations.keys().map(|name| {
        let name = rust::static_ident(name);
        quote!(&crate::operations::#name)
    });
    let views = module.views.keys().map(|name| {
        let name = rust::static_ident(name);
        quote!(&crate::views::#name)
    });
    let types = module.types.iter().map(|name| {
        let name = rust::static_ident(name);
        quote!(&crate::desc::#name)
    });
    let errors = module.errors.iter().map(|code| {
        let code = rust::ident(code);
        quote!(&crate::errors::#code)
    });
    quote! {
        #![doc = " The module as the contract describes it."]

        use ::rustydb_contract::descriptor::ModuleDesc;

        #[doc = " The module as the contract describes it."]
        pub static MODULE: ModuleDesc = ModuleDesc {
            name: #name,
            summary: #summary,
            operations: &[#(#operations),*],
            views: &[#(#views),*],
            types: &[#(#types),*],
            errors: &[#(#errors),*],
        };
    }
}

/// Name of a module's service trait.
pub fn service_ident(module: &str) -> proc_macro2::Ident {
    format_ident!("{}Service", names::pascal(module))
}

fn errors(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" Errors of the `{}` module.", module.name);
    let errors = module
        .errors
        .iter()
        .filter_map(|code| model.errors.get(code))
        .map(|error| {
            let name = rust::ident(&error.code);
            let code = &error.code;
            let (status, rpc, summary) = (error.status, error.rpc, &error.summary);
            let retry = match error.retry {
                Retry::Never => quote!(Never),
                Retry::Safe => quote!(Safe),
                Retry::Transaction => quote!(Transaction),
            };
            let details = match &error.details {
                Some(name) => {
                    let path = rust::desc_path(model, &module.name, name);
                    quote!(Some(&#path))
                }
                None => quote!(None),
            };
            let doc = doc(summary);
            quote! {
                #doc
                pub static #name: ::rustydb_contract::ErrorDesc = ::rustydb_contract::ErrorDesc {
                    code: #code,
                    status: #status,
                    rpc: #rpc,
                    retry: ::rustydb_contract::Retry::#retry,
                    summary: #summary,
                    details: #details,
                };
            }
        });
    quote! {
        #![doc = #text]

        #(#errors)*
    }
}

/// Permissions, roles and limits: only in `core`.
fn access(model: &Model) -> TokenStream {
    let constants = model.permissions.iter().enumerate().map(|(bit, permission)| {
        let name = rust::static_ident(&permission.name);
        let doc = doc(&format!("`{}`: {}", permission.name, permission.summary));
        let bits = 1u64 << bit;
        quote!(#doc pub const #name: ::rustydb_contract::Permissions = ::rustydb_contract::Permissions(#bits);)
    });
    let permissions = model.permissions.iter().map(|permission| {
        let constant = rust::static_ident(&permission.name);
        let (name, summary) = (&permission.name, &permission.summary);
        quote!(::rustydb_contract::descriptor::PermissionDesc { name: #name, summary: #summary, bit: #constant })
    });
    let roles = model.roles.iter().map(|role| {
        let (name, summary) = (&role.name, &role.summary);
        let bits = role.permissions.iter().map(|permission| {
            let constant = rust::static_ident(permission);
            quote!(.union(#constant))
        });
        quote!(::rustydb_contract::descriptor::RoleDesc {
            name: #name, summary: #summary, permissions: ::rustydb_contract::Permissions::NONE #(#bits)*
        })
    });
    let limits = &model.limits;
    let request_bytes = proc_macro2::Literal::u64_unsuffixed(limits.request_bytes);
    let json_depth = proc_macro2::Literal::u32_unsuffixed(limits.json_depth);
    let rpc_batch_calls = proc_macro2::Literal::u32_unsuffixed(limits.rpc_batch_calls);
    let graphql_depth = proc_macro2::Literal::u32_unsuffixed(limits.graphql_depth);
    let graphql_complexity = proc_macro2::Literal::u32_unsuffixed(limits.graphql_complexity);
    let (page_default, page_max) = (limits.page_default, limits.page_max);
    let (timeout_ms, timeout_max_ms) = (limits.timeout_ms, limits.timeout_max_ms);
    quote! {
        #![doc = " Permissions, roles and the bounds of every call."]

        #(#constants)*

        #[doc = " Every permission, in the order of its bit."]
        pub static PERMISSIONS: &[::rustydb_contract::descriptor::PermissionDesc] = &[#(#permissions),*];

        #[doc = " The built-in roles."]
        pub static ROLES: &[::rustydb_contract::descriptor::RoleDesc] = &[#(#roles),*];

        pub const LIMITS: ::rustydb_contract::descriptor::Limits = ::rustydb_contract::descriptor::Limits {
            request_bytes: #request_bytes,
            json_depth: #json_depth,
            rpc_batch_calls: #rpc_batch_calls,
            graphql_depth: #graphql_depth,
            graphql_complexity: #graphql_complexity,
            page_default: #page_default,
            page_max: #page_max,
            timeout_ms: #timeout_ms,
            timeout_max_ms: #timeout_max_ms,
        };
    }
}
