//! Query strings of `/api/v2`: any is read or refused; what is read is applied to rows, and holds what it promises.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lunabot_model::Json;
use lunabot_model::result_spec::{FieldKind, FieldSpec, ResultSpec};
use serde_json::json;

const FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "id", kind: FieldKind::Int },
    FieldSpec { name: "complete", kind: FieldKind::Bool },
    FieldSpec { name: "name", kind: FieldKind::Text },
    FieldSpec { name: "slug", kind: FieldKind::Identifier },
    FieldSpec { name: "ids", kind: FieldKind::Ints },
    FieldSpec { name: "tags", kind: FieldKind::Texts },
    FieldSpec { name: "info", kind: FieldKind::Json },
];

fuzz_target!(|input: (bool, &str)| {
    let (collection, query) = input;
    let Ok(spec) = ResultSpec::parse(query, FIELDS, collection) else { return };
    assert_eq!(ResultSpec::parse(query, FIELDS, collection).as_ref(), Ok(&spec));
    assert!(collection || spec.filters.is_empty());
    let (found, total) = spec.apply(rows());
    let limit = spec.limit.map_or(usize::MAX, |limit| usize::try_from(limit).expect("limits are not negative"));
    assert!(total <= rows().len() && found.len() <= total.min(limit));
    if let [key] = spec.order.as_slice() {
        assert!(found.is_sorted_by(|a, b| ordered(&a[key.field], &b[key.field], key.descending)));
    }
    for mut row in found {
        spec.project(&mut row);
        let names = row.as_object().expect("a row").keys();
        assert!(spec.fields.is_empty() || names.into_iter().all(|name| spec.fields.contains(&name.as_str())));
    }
});

fn rows() -> Vec<Json> {
    vec![
        json!({"id": 1, "complete": true, "name": "a", "slug": "s-1", "ids": [1, 2], "tags": [], "info": {}}),
        json!({"id": null, "complete": false, "name": "", "slug": null, "ids": [], "tags": ["x"], "info": null}),
        json!({"id": i64::MIN, "complete": null, "name": "ä%_", "slug": "_", "ids": null, "tags": ["x", "y"]}),
        json!({"id": i64::MAX, "complete": true, "name": null, "slug": "x.y", "ids": [0], "tags": ["%"]}),
    ]
}

/// Null is lowest.
fn ordered(a: &Json, b: &Json, descending: bool) -> bool {
    let (a, b) = if descending { (b, a) } else { (a, b) };
    match (a, b) {
        (Json::Null, _) => true,
        (_, Json::Null) => false,
        (Json::Number(a), Json::Number(b)) => a.as_i64() <= b.as_i64(),
        (Json::String(a), Json::String(b)) => a <= b,
        (Json::Bool(a), Json::Bool(b)) => a <= b,
        _ => false,
    }
}
