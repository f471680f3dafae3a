//! A module's views: their descriptors, one marker type each, and their events' names.

use proc_macro2::TokenStream;
use quote::quote;

use super::operations::{body_marker, description};
use super::service_ident;
use crate::emit::api;
use crate::emit::rust::{self, doc, field_ident, static_ident, type_ident};
use crate::model::{Model, Module, StreamClass, View};
use crate::names;

pub fn emit(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" Views of the streams of the `{}` module.", module.name);
    let descriptors = module.views.values().map(|view| descriptor(model, view));
    let markers = module.views.values().map(|view| marker(model, module, view));
    let bodies = module
        .views
        .values()
        .filter(|view| api::has_body(model, &view.open))
        .map(|view| body_marker(&view.open));
    let mut records: Vec<&String> = module
        .views
        .values()
        .filter(|view| view.is_record)
        .map(|view| &view.events[0])
        .collect();
    records.sort();
    records.dedup();
    let records = records.into_iter().map(|name| record_event(name));
    let unions = module
        .views
        .values()
        .filter(|view| !view.is_record)
        .map(union_event);
    quote! {
        #![doc = #text]

        pub use self::table::*;

        mod table {
            use ::rustydb_contract::descriptor::{OperationDesc, OperationKind, PermissionRule};
            use ::rustydb_contract::stream::{EventDesc, StreamClass, ViewDesc};

            #(#descriptors)*
        }

        #(#markers)*

        #(#bodies)*

        #(#records)*

        #(#unions)*
    }
}

fn descriptor(model: &Model, view: &View) -> TokenStream {
    let ident = static_ident(&view.open.name);
    let open = description(model, &view.open);
    let stream = &view.stream;
    let class = match view.class {
        StreamClass::Changes => quote!(Changes),
        StreamClass::Telemetry => quote!(Telemetry),
        StreamClass::Results => quote!(Results),
    };
    let ws = match &view.ws {
        Some(path) => quote!(Some(#path)),
        None => quote!(None),
    };
    let ws_message = match &view.ws_message {
        Some(word) => quote!(Some(#word)),
        None => quote!(None),
    };
    let event_type = rust::desc_path(model, &view.open.module, &view.event_type());
    let is_record = view.is_record;
    let events = view.events.iter().map(|name| {
        let message_type = names::snake(name);
        let data = rust::desc_path(model, &view.open.module, name);
        quote!(EventDesc { name: #name, message_type: #message_type, data: &#data })
    });
    quote! {
        pub static #ident: ViewDesc = ViewDesc {
            open: #open,
            stream: #stream,
            class: StreamClass::#class,
            ws: #ws,
            ws_message: #ws_message,
            events: &[#(#events),*],
            event_type: &#event_type,
            is_record: #is_record,
        };
    }
}

/// The type of the view's events, seen from its own crate.
fn event_path(model: &Model, view: &View) -> TokenStream {
    rust::type_path(model, &view.open.module, &view.event_type())
}

/// The method of the service that opens the view.
pub(super) fn method(model: &Model, view: &View) -> TokenStream {
    let doc = doc(&format!("{}\n\n{}", view.open.summary, view.open.description));
    let name = field_ident(&view.open.name);
    let input = rust::type_path(model, &view.open.module, &view.open.input);
    let event = event_path(model, view);
    quote! {
        #doc
        async fn #name(
            &self,
            context: &::rustydb_contract::CallContext,
            input: #input,
        ) -> ::rustydb_contract::ServiceResult<::rustydb_contract::stream::Subscription<#event>>;
    }
}

fn marker(model: &Model, module: &Module, view: &View) -> TokenStream {
    let doc = doc(&view.open.summary);
    let marker = type_ident(&view.open.name);
    let desc = static_ident(&view.open.name);
    let service = service_ident(&module.name);
    let method = field_ident(&view.open.name);
    let input = rust::type_path(model, &view.open.module, &view.open.input);
    let event = event_path(model, view);
    quote! {
        #doc
        #[derive(Debug, Clone, Copy)]
        pub struct #marker;

        impl ::rustydb_contract::stream::View for #marker {
            type Service = dyn crate::operations::#service;
            type Input = #input;
            type Event = #event;

            fn desc() -> &'static ::rustydb_contract::stream::ViewDesc {
                &#desc
            }

            fn open<'a>(
                service: &'a Self::Service,
                context: &'a ::rustydb_contract::CallContext,
                input: Self::Input,
            ) -> ::rustydb_contract::AnswerFuture<'a, ::rustydb_contract::stream::Subscription<Self::Event>> {
                service.#method(context, input)
            }
        }
    }
}

/// A record is the event that has its name.
fn record_event(name: &str) -> TokenStream {
    let ty = type_ident(name);
    quote! {
        impl ::rustydb_contract::stream::StreamEvent for crate::types::#ty {
            fn name(&self) -> &'static str {
                #name
            }

            fn data(&self) -> ::rustydb_contract::stream::EventData {
                ::rustydb_contract::stream::event_data(self)
            }
        }
    }
}

fn union_event(view: &View) -> TokenStream {
    let ty = type_ident(&view.event_type());
    let variants: Vec<_> = view
        .events
        .iter()
        .map(|name| rust::ident(&names::rust::variant(name)))
        .collect();
    let names = &view.events;
    quote! {
        impl ::rustydb_contract::stream::StreamEvent for crate::types::#ty {
            fn name(&self) -> &'static str {
                match self {
                    #(Self::#variants(_) => #names,)*
                }
            }

            fn data(&self) -> ::rustydb_contract::stream::EventData {
                match self {
                    #(Self::#variants(data) => ::rustydb_contract::stream::event_data(data),)*
                }
            }
        }
    }
}
