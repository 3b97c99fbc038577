//! The defaults that the contract tells: those of the server, each where a reader of the document looks for it.

use utoipa::openapi::{RefOr, Schema, path::Operation};

/// `#[serde(default)]` on a whole request makes `utoipa` tell `null` of each field that is `None` when absent. To the
/// server, absent is not `null`: a client that fills defaults in would clear what it does not mention.
pub fn forget_null(schema: &mut RefOr<Schema>) {
    let schema = match schema {
        RefOr::T(schema) => schema,
        RefOr::Ref(other) => {
            other.default.take_if(|default| default.is_null());
            return;
        }
    };
    let default = match schema {
        Schema::Object(object) => {
            object.properties.values_mut().for_each(forget_null);
            &mut object.default
        }
        Schema::Array(array) => &mut array.default,
        Schema::OneOf(one) => {
            one.items.iter_mut().for_each(forget_null);
            &mut one.default
        }
        Schema::AllOf(all) => {
            all.items.iter_mut().for_each(forget_null);
            &mut all.default
        }
        Schema::AnyOf(any) => {
            any.items.iter_mut().for_each(forget_null);
            &mut any.default
        }
        _ => return,
    };
    default.take_if(|default| default.is_null());
}

/// `utoipa` puts the default of a parameter that is an enum beside it, as that of an object, which no text fits.
pub fn unite(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let Some(RefOr::T(Schema::AllOf(all))) = &mut parameter.schema else { continue };
        let [RefOr::T(Schema::Object(words)), RefOr::T(Schema::Object(beside))] = all.items.as_mut_slice()
        else {
            continue;
        };
        words.default = beside.default.take();
        let words = words.clone();
        parameter.schema = Some(RefOr::T(Schema::Object(words)));
    }
}
