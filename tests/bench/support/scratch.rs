//! A project of its own with the synthetic contract: the real contract language, pipeline and Rust client, and
//! behind every service trait a body that refuses by name. The engine is not in it: no contract reaches it.

use std::fs;
use std::path::{Path, PathBuf};

use codegen::emit::rust;
use codegen::load;
use codegen::model::{Model, Module};
use codegen::names;
use codegen::project::Project;
use codegen::synthetic;
use quote::{format_ident, quote};

/// Package whose bodies stand behind the traits; no module of the contract.
const SERVICES: &str = "services";
/// What is by hand and compiles with generated code; folders of generated code are left out.
const BY_HAND: [&str; 5] = [
    "schema/lang",
    "api/src",
    "api/Cargo.toml",
    "clients/rust/src",
    "clients/rust/README.md",
];
const GENERATED: &str = "generated";

/// Writes the project, without what the generator makes.
pub fn write(root: &Path, scratch: &Path) -> Model {
    if scratch.exists() {
        for entry in fs::read_dir(scratch).unwrap() {
            let path = entry.unwrap().path();
            // What is compiled already stays: third-party crates are the same.
            if path.is_dir() && !path.ends_with("target") {
                fs::remove_dir_all(path).unwrap();
            }
        }
    }
    for path in BY_HAND {
        copy(&root.join(path), &scratch.join(path));
    }
    let real = Project::new(root).model().expect("the contract is sound");
    let core = fs::read_to_string(root.join(synthetic::path("core"))).unwrap();
    for (path, text) in synthetic::contract(&core, real.modules["core"].types.len()) {
        put(&scratch.join(path), &text);
    }
    let model = Project::new(scratch)
        .model()
        .expect("the synthetic contract is sound");
    put(&scratch.join("Cargo.toml"), &workspace_manifest(root));
    fs::copy(root.join("Cargo.lock"), scratch.join("Cargo.lock")).unwrap();
    write_services(scratch, &model);
    write_server(scratch, &model);
    model
}

/// The project's manifest with other members, and without what only others need.
fn workspace_manifest(root: &Path) -> String {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let (before, rest) = manifest.split_once("members = [").unwrap();
    let (_, after) = rest.split_once(']').unwrap();
    let after: String = after
        .lines()
        .filter(|line| !line.starts_with("default-members"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (after, _) = after.split_once("[profile.dev.package]").unwrap_or((&after, ""));
    let members = "\"schema/lang\", \"schema/gen/*\", \"api\", \"api/gen/*\", \"clients/rust\", \"services\", \"server\"";
    format!("{before}members = [{members}]{after}")
}

fn manifest(name: &str, dependencies: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion.workspace = true\nedition.workspace = true\n\n[dependencies]\n{dependencies}"
    )
}

fn modules(model: &Model) -> impl Iterator<Item = &Module> {
    model.modules.values().filter(|module| module.has_service())
}

fn write_services(scratch: &Path, model: &Model) {
    let mut dependencies = "rustydb-contract.workspace = true\n".to_owned();
    for module in model.modules.keys() {
        dependencies.push_str(&format!(
            "rustydb-contract-{module} = {{ path = \"../schema/gen/{module}\" }}\n"
        ));
    }
    put(
        &scratch.join("services/Cargo.toml"),
        &manifest("synthetic-services", &dependencies),
    );
    let files = modules(model).map(|module| format_ident!("{}", names::rust::value(&module.name)));
    let root = quote! {
        #(mod #files;)*

        use ::rustydb_contract::{ServiceError, ServiceResult};
        use ::rustydb_contract_core::errors::UNAVAILABLE;

        /// Every service.
        pub struct Synthetic;

        pub(crate) fn refused<T>(operation: &str, input: &impl ::std::fmt::Debug) -> ServiceResult<T> {
            Err(ServiceError::new(&UNAVAILABLE, format!("{operation} has no engine to take {input:?}")))
        }
    };
    put(&scratch.join("services/src/lib.rs"), &rust::file("", root).text);
    for module in modules(model) {
        let path = format!("services/src/{}.rs", names::rust::value(&module.name));
        put(&scratch.join(path), &service(model, module));
    }
}

fn service(model: &Model, module: &Module) -> String {
    let service = format_ident!("{}Service", names::pascal(&module.name));
    let krate = rust::contract_crate(&module.name);
    let methods = module.operations.values().map(|operation| {
        let (name, id) = (rust::ident(&names::rust::value(&operation.name)), &operation.id);
        let input = rust::type_path(model, SERVICES, &operation.input);
        let output = operation.output.as_ref().map_or_else(
            || quote!(::rustydb_contract::Empty),
            |output| rust::type_path(model, SERVICES, output),
        );
        quote! {
            async fn #name(
                &self,
                _: &::rustydb_contract::CallContext,
                input: #input,
            ) -> ::rustydb_contract::ServiceResult<#output> {
                crate::refused(#id, &input)
            }
        }
    });
    let openings = module.views.values().map(|view| {
        let (name, id) = (rust::ident(&names::rust::value(&view.open.name)), &view.open.id);
        let input = rust::type_path(model, SERVICES, &view.open.input);
        let event = rust::type_path(model, SERVICES, &view.event_type());
        quote! {
            async fn #name(
                &self,
                _: &::rustydb_contract::CallContext,
                input: #input,
            ) -> ::rustydb_contract::ServiceResult<::rustydb_contract::stream::Subscription<#event>> {
                crate::refused(#id, &input)
            }
        }
    });
    let tokens = quote! {
        #[::rustydb_contract::async_trait]
        impl ::#krate::#service for crate::Synthetic {
            #(#methods)*
            #(#openings)*
        }
    };
    rust::file("", tokens).text
}

fn write_server(scratch: &Path, model: &Model) {
    let mut dependencies =
        "rustydb-api.workspace = true\nsynthetic-services = { path = \"../services\" }\n".to_owned();
    for module in modules(model) {
        let name = &module.name;
        dependencies.push_str(&format!(
            "rustydb-api-{name} = {{ path = \"../api/gen/{name}\" }}\n"
        ));
    }
    put(
        &scratch.join("server/Cargo.toml"),
        &manifest("synthetic-server", &dependencies),
    );
    let crates = modules(model).map(|module| format_ident!("rustydb_api_{}", module.name));
    let tokens = quote! {
        use ::std::sync::Arc;

        use ::rustydb_api::server::{Server, build};
        use ::rustydb_api::Pipeline;
        use ::synthetic_services::Synthetic;

        pub fn server(pipeline: Pipeline) -> Server {
            let service = Arc::new(Synthetic);
            let modules = vec![#(::#crates::module(service.clone())),*];
            build(pipeline, modules).expect("the schema builds")
        }
    };
    put(&scratch.join("server/src/lib.rs"), &rust::file("", tokens).text);
}

/// Copies a file or folder without generated folders.
pub fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != GENERATED {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        }
        return;
    }
    put(to, &fs::read_to_string(from).unwrap());
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Replaces a text that is there once in a module's file.
pub fn edit(scratch: &Path, module: &str, from: &str, to: &str) {
    let path: PathBuf = scratch.join(load::MODULES_FOLDER).join(format!("{module}.yaml"));
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.matches(from).count(),
        1,
        "`{from}` is not once in {}",
        path.display()
    );
    put(&path, &text.replace(from, to));
}
