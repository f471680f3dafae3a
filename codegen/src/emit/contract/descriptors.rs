//! Statics that describe a module's types.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use crate::emit::rust::{self, desc_path, static_ident};
use crate::model::{Field, Integer, IntegerWidth, Model, Module, Object, RestPlace, Shape, Ty, TypeDef};

pub fn types(model: &Model, module: &Module) -> TokenStream {
    let text = format!(" Descriptors of the types of the `{}` module.", module.name);
    let statics = module.types.iter().map(|name| emit_type(model, model.ty(name)));
    let import = (!module.types.is_empty()).then(|| {
        quote! {
            #[allow(unused_imports, reason = "not every module needs all of them")]
            use ::rustydb_contract::descriptor::{
                FieldDesc, IntegerWidth, ObjectDesc, RestPlace, Shape, Ty, TypeDesc, UnionDesc, VariantDesc,
            };
        }
    });
    quote! {
        #![doc = #text]

        #import

        #(#statics)*
    }
}

fn emit_type(model: &Model, def: &TypeDef) -> TokenStream {
    let ident = static_ident(&def.name);
    let (name, description) = (&def.name, &def.description);
    let home = &def.module;
    let shape = match &def.shape {
        Shape::Object(object) => emit_object(model, home, object),
        Shape::Enum(values) => quote!(Shape::Enum(&[#(#values),*])),
        Shape::Union(union) => {
            let tag = &union.tag;
            let variants = union.variants.iter().map(|variant| {
                let value = &variant.value;
                let target = desc_path(model, home, &variant.target);
                quote!(VariantDesc { value: #value, target: &#target })
            });
            quote!(Shape::Union(UnionDesc { tag: #tag, variants: &[#(#variants),*] }))
        }
        Shape::Alias(ty) => {
            let ty = emit_ty(model, home, ty);
            quote!(Shape::Alias(#ty))
        }
    };
    quote! {
        pub static #ident: TypeDesc = TypeDesc { name: #name, description: #description, shape: #shape };
    }
}

fn emit_object(model: &Model, home: &str, object: &Object) -> TokenStream {
    let fields = object.fields.iter().map(|field| emit_field(model, home, field));
    let exactly_one_of = &object.exactly_one_of;
    quote!(Shape::Object(ObjectDesc {
        fields: &[#(#fields),*],
        exactly_one_of: &[#(#exactly_one_of),*],
    }))
}

fn emit_field(model: &Model, home: &str, field: &Field) -> TokenStream {
    let Field {
        name,
        description,
        required,
        nullable,
        sensitive,
        ..
    } = field;
    let ty = emit_ty(model, home, &field.ty);
    let default = option(field.default.as_ref().map(|value| {
        let text = value.to_string();
        quote!(#text)
    }));
    let place = option(field.place_rest.map(|place| match place {
        RestPlace::Path => quote!(RestPlace::Path),
        RestPlace::Query => quote!(RestPlace::Query),
        RestPlace::Body => quote!(RestPlace::Body),
        RestPlace::QueryOrBody => quote!(RestPlace::QueryOrBody),
    }));
    let deprecated = option(field.deprecated.as_ref().map(|deprecated| {
        let instead = &deprecated.instead;
        quote!(#instead)
    }));
    quote!(FieldDesc {
        name: #name,
        description: #description,
        ty: #ty,
        required: #required,
        nullable: #nullable,
        default: #default,
        sensitive: #sensitive,
        place: #place,
        deprecated: #deprecated,
    })
}

fn emit_ty(model: &Model, home: &str, ty: &Ty) -> TokenStream {
    match ty {
        Ty::Boolean => quote!(Ty::Boolean),
        Ty::Integer(Integer {
            width,
            minimum,
            maximum,
            ..
        }) => {
            let width = match width {
                IntegerWidth::Int32 => quote!(Int32),
                IntegerWidth::UInt32 => quote!(UInt32),
                IntegerWidth::Int53 => quote!(Int53),
                IntegerWidth::UInt53 => quote!(UInt53),
            };
            let (minimum, maximum) = (
                Literal::i64_unsuffixed(*minimum),
                Literal::i64_unsuffixed(*maximum),
            );
            quote!(Ty::Integer { width: IntegerWidth::#width, minimum: #minimum, maximum: #maximum })
        }
        Ty::Number { minimum, maximum } => {
            let (minimum, maximum) = (
                option(minimum.map(|n| quote!(#n))),
                option(maximum.map(|n| quote!(#n))),
            );
            quote!(Ty::Number { minimum: #minimum, maximum: #maximum })
        }
        Ty::Text(text) => {
            let min_length = bound(text.min_length);
            let max_length = bound(text.max_length);
            let pattern = option(text.pattern.as_ref().map(|pattern| quote!(#pattern)));
            quote!(Ty::Text { min_length: #min_length, max_length: #max_length, pattern: #pattern })
        }
        Ty::Id64 => quote!(Ty::Id64),
        Ty::Decimal => quote!(Ty::Decimal),
        Ty::Bytes { max } => {
            let max = bound(*max);
            quote!(Ty::Bytes { max: #max })
        }
        Ty::Timestamp => quote!(Ty::Timestamp),
        Ty::Date => quote!(Ty::Date),
        Ty::Uuid => quote!(Ty::Uuid),
        Ty::Lsn => quote!(Ty::Lsn),
        Ty::Cursor => quote!(Ty::Cursor),
        Ty::Json => quote!(Ty::Json),
        Ty::Array { items, min, max } => {
            let items = emit_ty(model, home, items);
            let (min, max) = (bound(*min), bound(*max));
            quote!(Ty::Array { items: &#items, min: #min, max: #max })
        }
        Ty::Map { values } => {
            let values = emit_ty(model, home, values);
            quote!(Ty::Map { values: &#values })
        }
        Ty::Ref(name) => {
            let path = rust::desc_path(model, home, name);
            quote!(Ty::Ref(&#path))
        }
    }
}

fn bound(bound: Option<u32>) -> TokenStream {
    option(bound.map(|bound| {
        let bound = Literal::u32_unsuffixed(bound);
        quote!(#bound)
    }))
}

fn option(value: Option<TokenStream>) -> TokenStream {
    match value {
        Some(value) => quote!(Some(#value)),
        None => quote!(None),
    }
}
