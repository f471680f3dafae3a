//! Structs and enums of a module.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;

use crate::emit::rust::{self, Holding, doc, field_ident, holding, type_ident};
use crate::model::{Field, Model, Module, Object, Shape, Ty, TypeDef, Union};
use crate::names;

pub fn emit(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" Types of the `{}` module.", module.name);
    let types = module.types.iter().map(|name| emit_type(model, model.ty(name)));
    quote! {
        #![doc = #text]

        #(#types)*
    }
}

fn emit_type(model: &Model, def: &TypeDef) -> TokenStream {
    let doc = doc(&def.description);
    let name = type_ident(&def.name);
    let body = match &def.shape {
        Shape::Object(object) => emit_object(model, def, object),
        Shape::Enum(values) => emit_enum(def, values),
        Shape::Union(union) => emit_union(model, def, union),
        Shape::Alias(ty) => {
            let ty = rust::ty(model, &def.module, ty);
            quote!(pub type #name = #ty;)
        }
    };
    quote!(#doc #body)
}

fn emit_object(model: &Model, def: &TypeDef, object: &Object) -> TokenStream {
    let name = type_ident(&def.name);
    let fields = object.fields.iter().map(|field| emit_field(model, def, field));
    let secret = object.fields.iter().any(|field| field.sensitive);
    let debug = if secret {
        debug_impl(def, object)
    } else {
        TokenStream::new()
    };
    let derive_debug = (!secret).then(|| quote!(Debug,));
    let derive_default = object
        .fields
        .iter()
        .all(|field| !field.required)
        .then(|| quote!(Default,));
    quote! {
        #[derive(#derive_debug Clone, #derive_default PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(crate = "::serde")]
        pub struct #name { #(#fields),* }

        #debug
    }
}

fn emit_field(model: &Model, def: &TypeDef, field: &Field) -> TokenStream {
    let mut text = field.description.clone();
    if let Some(default) = &field.default {
        text += &format!("\n\nDefault: `{default}`.");
    }
    let doc = doc(&text);
    let deprecated = field.deprecated.as_ref().map(|deprecated| {
        let note = format!("use {}", deprecated.instead);
        let since = &deprecated.since;
        quote!(#[deprecated(since = #since, note = #note)])
    });
    let name = field_ident(&field.name);
    let wire = &field.name;
    let rename =
        (name.to_string().trim_start_matches("r#") != field.name).then(|| quote!(#[serde(rename = #wire)]));
    let mut ty = rust::ty(model, &def.module, &field.ty);
    if needs_box(model, &def.name, &field.ty) {
        ty = quote!(::std::boxed::Box<#ty>);
    }
    let (attribute, ty) = match holding(model, field) {
        Holding::Plain => (TokenStream::new(), ty),
        Holding::Nullable => (TokenStream::new(), quote!(::std::option::Option<#ty>)),
        Holding::Optional => (
            quote!(#[serde(default, skip_serializing_if = "::std::option::Option::is_none")]),
            quote!(::std::option::Option<#ty>),
        ),
        Holding::TriState => (
            quote!(#[serde(default, skip_serializing_if = "::rustydb_contract::Presence::is_absent")]),
            quote!(::rustydb_contract::Presence<#ty>),
        ),
    };
    quote!(#doc #deprecated #rename #attribute pub #name: #ty)
}

/// Whether a field of this type would make the struct contain itself.
fn needs_box(model: &Model, container: &str, ty: &Ty) -> bool {
    let Ty::Ref(target) = ty else { return false };
    let mut seen = BTreeSet::new();
    let mut open = vec![target.as_str()];
    while let Some(name) = open.pop() {
        if name == container {
            return true;
        }
        if !seen.insert(name) {
            continue;
        }
        let mut follow = |ty: &'_ Ty| {
            if let Ty::Ref(next) = ty {
                open.push(model.ty(next).name.as_str());
            }
        };
        match &model.ty(name).shape {
            Shape::Object(object) => object.fields.iter().for_each(|field| follow(&field.ty)),
            Shape::Union(union) => {
                open.extend(union.variants.iter().map(|variant| variant.target.as_str()));
            }
            Shape::Alias(ty) => follow(ty),
            Shape::Enum(_) => {}
        }
    }
    false
}

fn debug_impl(def: &TypeDef, object: &Object) -> TokenStream {
    let name = type_ident(&def.name);
    let text = &def.name;
    let fields = object.fields.iter().map(|field| {
        let wire = &field.name;
        let ident = field_ident(&field.name);
        if field.sensitive {
            quote!(.field(#wire, &::std::format_args!("<secret>")))
        } else {
            quote!(.field(#wire, &self.#ident))
        }
    });
    let deprecated = object.fields.iter().any(|field| field.deprecated.is_some());
    let allow = deprecated.then(|| quote!(#[allow(deprecated)]));
    quote! {
        #allow
        impl ::std::fmt::Debug for #name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(#text)#(#fields)*.finish()
            }
        }
    }
}

fn emit_enum(def: &TypeDef, values: &[String]) -> TokenStream {
    let name = type_ident(&def.name);
    let idents: Vec<_> = values
        .iter()
        .map(|value| rust::ident(&names::rust::variant(value)))
        .collect();
    quote! {
        #[derive(Debug, Clone, PartialEq, Eq, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(crate = "::serde")]
        pub enum #name {
            #(#[serde(rename = #values)] #idents,)*
            #[doc = " A value that this version does not know. No input carries it."]
            #[serde(untagged)]
            Unrecognized(::std::string::String),
        }

        impl #name {
            #[doc = " The value as on the wire."]
            pub fn as_str(&self) -> &str {
                match self {
                    #(#name::#idents => #values,)*
                    #name::Unrecognized(text) => text,
                }
            }
        }
    }
}

fn emit_union(model: &Model, def: &TypeDef, union: &Union) -> TokenStream {
    let name = type_ident(&def.name);
    let tag = &union.tag;
    let variants = union.variants.iter().map(|variant| {
        let ident = rust::ident(&names::rust::variant(&variant.value));
        let value = &variant.value;
        let mut target = rust::type_path(model, &def.module, &variant.target);
        if needs_box(model, &def.name, &Ty::Ref(variant.target.clone())) {
            target = quote!(::std::boxed::Box<#target>);
        }
        quote!(#[serde(rename = #value)] #ident(#target))
    });
    quote! {
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(crate = "::serde", tag = #tag)]
        pub enum #name { #(#variants),* }
    }
}
