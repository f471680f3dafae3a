//! API crates, one a module: a REST handler per operation with its `#[utoipa::path]`, the RPC methods and the
//! GraphQL fields. Each handler is one call into the pipeline.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::contract::service_ident;
use super::rust::{self, contract_crate, doc, field_ident, static_ident, type_ident};
use crate::model::{Interface, Kind, Model, Module, Operation, PermissionRule, RestPlace};
use crate::output::{Emission, File};

/// Where the crates lie.
const FOLDER: &str = "api/gen";

pub fn emit(model: &Model) -> Emission {
    let files = model
        .modules
        .values()
        .filter(|module| module.has_service())
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
    vec![
        File::new(format!("{folder}/Cargo.toml"), manifest(module)),
        source("lib", library(module)),
        source("rest", rest(model, module)),
        source("module", registration(module)),
    ]
}

fn manifest(module: &Module) -> String {
    let name = &module.name;
    let dependencies = format!(
        "[dependencies]\naxum.workspace = true\nrustydb-api.workspace = true\n\
         rustydb-contract-{name} = {{ path = \"../../../schema/gen/{name}\", features = [\"openapi\"] }}\n\
         utoipa.workspace = true\nutoipa-axum.workspace = true\n"
    );
    rust::manifest(
        &format!("rustydb-api-{name}"),
        &format!("REST, RPC and GraphQL of the `{name}` module."),
        &dependencies,
    )
}

fn library(module: &Module) -> TokenStream {
    let text = format!(" REST, RPC and GraphQL of the `{}` module.", module.name);
    quote! {
        #![doc = #text]

        #[rustfmt::skip]
        mod module;
        #[rustfmt::skip]
        mod rest;

        pub use module::module;
    }
}

fn carries(operation: &Operation, interface: Interface) -> bool {
    !operation.except.contains_key(&interface)
}

fn rest(model: &Model, module: &Module) -> TokenStream {
    let krate = contract_crate(&module.name);
    let handlers = module
        .operations
        .values()
        .filter(|operation| carries(operation, Interface::Rest))
        .map(|operation| handler(model, operation));
    let streams = module.views.values().map(|view| handler(model, &view.open));
    let text = format!(" REST handlers of the `{}` module.", module.name);
    let imports = imports(module);
    quote! {
        #![doc = #text]

        use ::#krate::{#imports};
        use ::axum::extract::{RawPathParams, Request, State};
        use ::axum::response::Response;
        use ::rustydb_api::{Api, rest};

        #(#handlers)*

        #(#streams)*
    }
}

/// The modules of the contract crate that a module's handlers and registration name.
fn imports(module: &Module) -> TokenStream {
    let operations = (!module.operations.is_empty()).then(|| quote!(operations,));
    let views = (!module.views.is_empty()).then(|| quote!(views,));
    quote!(#operations #views)
}

/// A view's handler opens it and sends its events as they come.
fn handler(model: &Model, operation: &Operation) -> TokenStream {
    let doc = doc(&operation.summary);
    let name = field_ident(&operation.name);
    let desc = static_ident(&operation.name);
    let marker = type_ident(&operation.name);
    let method = format_ident!("{}", operation.method.as_str().to_ascii_lowercase());
    let Operation {
        id,
        module,
        path,
        summary,
        ..
    } = operation;
    let description = (!operation.description.is_empty()).then(|| {
        let text = operation.description.trim();
        quote!(description = #text,)
    });
    let (home, serve) = if operation.kind == Kind::Stream {
        (quote!(views), quote!(rest::stream))
    } else {
        (quote!(operations), quote!(rest::handle))
    };
    let body = has_body(model, operation).then(|| {
        let body = format_ident!("{marker}Body");
        quote!(request_body = #home::#body,)
    });
    let security = match operation.permission {
        PermissionRule::Public => quote!(security(())),
        _ => quote!(security(("bearer" = []), ("api_key" = []))),
    };
    quote! {
        #doc
        #[utoipa::path(
            #method,
            path = #path,
            operation_id = #id,
            tag = #module,
            summary = #summary,
            #description
            params(#home::#marker),
            #body
            responses(#home::#marker),
            #security
        )]
        pub async fn #name(api: State<Api>, path: RawPathParams, request: Request) -> Response {
            #serve(api, &#home::#desc, path, request).await
        }
    }
}

/// Whether REST sends some of the input in a body.
pub fn has_body(model: &Model, operation: &Operation) -> bool {
    operation.method.has_body()
        && model
            .input_fields(operation)
            .iter()
            .any(|field| matches!(field.place_rest, Some(RestPlace::Body | RestPlace::QueryOrBody)))
}

fn registration(module: &Module) -> TokenStream {
    let krate = contract_crate(&module.name);
    let service = service_ident(&module.name);
    let operations = module.operations.values().map(|operation| {
        let marker = type_ident(&operation.name);
        quote!(Registered::new::<operations::#marker>(Arc::clone(&service)))
    });
    let views = module.views.values().map(|view| {
        let marker = type_ident(&view.open.name);
        quote!(RegisteredView::new::<views::#marker>(Arc::clone(&service)))
    });
    let import_operations = (!module.operations.is_empty()).then(|| {
        quote!(
            use ::rustydb_api::Registered;
        )
    });
    let import_views = (!module.views.is_empty()).then(|| {
        quote!(
            use ::rustydb_api::RegisteredView;
        )
    });
    let imports = imports(module);
    let listed = |interface: Interface| {
        let operations: Vec<_> = module
            .operations
            .values()
            .filter(|operation| carries(operation, interface))
            .map(|operation| static_ident(&operation.name))
            .collect();
        quote!(Vec::from([#(&operations::#operations),*]))
    };
    let (rpc, graphql) = (listed(Interface::Rpc), listed(Interface::Graphql));
    let routes = module
        .operations
        .values()
        .filter(|operation| carries(operation, Interface::Rest))
        .map(|operation| {
            let name = field_ident(&operation.name);
            quote!(.routes(routes!(rest::#name)))
        });
    let streams = module.views.values().map(|view| {
        let name = field_ident(&view.open.name);
        quote!(.routes(routes!(rest::#name)))
    });
    quote! {
        #![doc = " Registration with the server."]

        use ::std::sync::Arc;

        use ::#krate::{#imports #service};
        use ::rustydb_api::ModuleApi;
        #import_operations
        #import_views
        use ::utoipa_axum::router::OpenApiRouter;
        use ::utoipa_axum::routes;

        use crate::rest;

        #[doc = " The module with the service behind it."]
        pub fn module(service: Arc<dyn #service>) -> ModuleApi {
            ModuleApi {
                desc: &::#krate::MODULE,
                operations: Vec::from([#(#operations),*]),
                views: Vec::from([#(#views),*]),
                rest: OpenApiRouter::new()#(#routes)*#(#streams)*,
                rpc: #rpc,
                graphql: #graphql,
            }
        }
    }
}
