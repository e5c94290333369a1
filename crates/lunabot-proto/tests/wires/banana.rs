//! Banana and Jelly: every recorded byte becomes the recorded tree, and the tree those bytes.

use crate::recorded::{self, From};
use bytes::Bytes;
use lunabot_proto::pb::banana::{Decoder, encode};
use lunabot_proto::pb::{Jelly, Proof, Sexp};
use serde_json::Value as Json;

pub fn trees(bytes: &[u8], piece: usize) -> Vec<Sexp> {
    let mut decoder = Decoder::new(64 * 1024 * 1024);
    let mut trees = Vec::new();
    for piece in bytes.chunks(piece) {
        decoder.feed(piece);
        while let Some(tree) = decoder.tree().unwrap() {
            trees.push(tree);
        }
    }
    trees
}

fn encoded(tree: &Sexp) -> Vec<u8> {
    let mut out = Vec::new();
    encode(tree, true, &mut out).unwrap();
    out
}

/// Whether a tree is the recorded one; of what was cut, the beginning counts.
fn is(tree: &Sexp, wanted: &Json) -> bool {
    match (tree, wanted) {
        (Sexp::List(items), Json::Array(wanted)) => {
            items.len() == wanted.len() && items.iter().zip(wanted).all(|(a, b)| is(a, b))
        }
        (Sexp::Bytes(bytes), Json::String(text)) => bytes == text.as_bytes(),
        (Sexp::Bytes(bytes), Json::Object(map)) => {
            match (map.get("$hex"), map.get("$cut"), map.get("$cuthex")) {
                (Some(hex), ..) => *bytes == recorded::unhex(hex.as_str().unwrap()),
                (_, Some(cut), _) => bytes.starts_with(cut.as_str().unwrap().as_bytes()),
                (.., Some(hex)) => bytes.starts_with(&recorded::unhex(hex.as_str().unwrap())),
                _ => false,
            }
        }
        (Sexp::List(_), Json::Object(map)) => map.contains_key("$cutlist"),
        (Sexp::Int(number), Json::Number(wanted)) => wanted.as_i128() == Some(*number),
        (Sexp::Int(number), Json::Object(map)) => map["$int"].as_str() == Some(&number.to_string()),
        (Sexp::Float(number), Json::Number(wanted)) => {
            // JSON's text of a double may be one digit off.
            wanted.as_f64().is_some_and(|wanted| (wanted - number).abs() <= wanted.abs() * 1e-15)
        }
        (Sexp::Float(number), Json::Object(map)) => map["$float"].as_str() == Some(&number.to_string()),
        _ => false,
    }
}

#[test]
fn row_08_016_every_recorded_byte_becomes_its_tree_and_back() {
    for name in recorded::all("pb-") {
        for side in [From::Worker, From::Master] {
            let bytes = recorded::bytes(&name, side);
            let read = trees(&bytes, 7);
            let wanted: Vec<Json> = recorded::decoded(&name)
                .into_iter()
                .filter(|(from, message)| *from == side && message.get("sexp").is_some())
                .map(|(_, message)| message["sexp"].clone())
                .collect();
            assert_eq!(read.len(), wanted.len(), "{name}");
            for (tree, wanted) in read.iter().zip(&wanted) {
                assert!(is(tree, wanted), "{name}: {tree:?}\n{wanted}");
            }
            let written: Vec<u8> = read.iter().flat_map(encoded).collect();
            assert!(written == bytes, "{name}: other bytes");
            assert_eq!(trees(&bytes, usize::MAX), read, "{name}: pieces do not matter");
        }
    }
}

#[test]
fn numbers_and_strings_of_the_unit_vectors() {
    let unit = recorded::json("unit-banana.json");
    let mut read = 0;
    for vector in unit["vectors"].as_array().unwrap() {
        // One is the greeting, before the words have numbers; it has none of them.
        let bytes = recorded::unhex(vector["pb"].as_str().or(vector["none"].as_str()).unwrap());
        let mut decoder = Decoder::new(1 << 20);
        decoder.feed(&bytes);
        let Ok(tree) = decoder.tree() else {
            // Beyond what anybody needs: refused, not misread.
            assert!(vector["value"]["$int"].as_str().is_some_and(|digits| digits.len() > 38), "{vector}");
            continue;
        };
        let tree = tree.unwrap();
        assert!(is(&tree, &vector["value"]), "{vector}: {tree:?}");
        assert_eq!(encoded(&tree), bytes, "{vector}");
        read += 1;
    }
    assert!(read > 20);
}

#[test]
fn values_of_the_unit_vectors() {
    for vector in recorded::json("unit-jelly.json").as_array().unwrap() {
        let tree = &trees(&recorded::unhex(vector["pb"].as_str().unwrap()), 3)[0];
        assert!(is(tree, &vector["sexp"]), "{vector}");
        let value = Jelly::read(tree).unwrap();
        let what = vector["what"].as_str().unwrap();
        // Those that are written as they are read; sharing is written out, rare kinds are tuples.
        let plain = !["same list", "shared", "holds itself", "set", "decimal", "date", "time"]
            .iter()
            .any(|w| what.contains(w));
        assert_eq!(value.write() == *tree, plain, "{what}: {value:?}");
    }
    let shared = "048008870380048701810280088702800782756e69636f6465018278028003870181028003870181";
    let value = Jelly::read(&trees(&recorded::unhex(shared), 100)[0]).unwrap();
    let x = Jelly::List(vec!["x".into()]);
    assert_eq!(value, Jelly::List(vec![x.clone(), x.clone(), x]));
}

#[test]
fn what_could_run_something_is_refused() {
    for word in ["instance", "class", "module", "function", "method", "persistent"] {
        let tree = Sexp::List(vec![Sexp::word(word), Sexp::word("os.system")]);
        assert!(Jelly::read(&tree).is_err(), "{word}");
    }
}

#[test]
fn repetition_does_not_multiply_without_bound() {
    // Each level holds the one before twice: 2^40 parts if written out.
    let number = |n: i64| Sexp::Int(n.into());
    let again = |n: i64| Sexp::List(vec![Sexp::word("dereference"), number(n)]);
    let mut items = vec![Sexp::word("list")];
    for level in 1..40 {
        let inner = match level {
            1 => Sexp::List(vec![Sexp::word("list")]),
            n => Sexp::List(vec![Sexp::word("list"), again(n - 1), again(n - 1)]),
        };
        items.push(Sexp::List(vec![Sexp::word("reference"), number(level), inner]));
    }
    assert!(Jelly::read(&Sexp::List(items)).is_err());
}

#[test]
fn row_08_012_responses_of_the_unit_vectors() {
    for vector in recorded::json("unit-auth.json").as_array().unwrap() {
        let challenge = recorded::unhex(vector["challenge"].as_str().unwrap()).try_into().unwrap();
        let proof = Proof::new(challenge, recorded::unhex(vector["response"].as_str().unwrap()));
        let password = vector["password_utf8"].as_str().unwrap();
        assert!(proof.fits(password), "{password}");
        assert!(!proof.fits("wrong"));
        assert!(!Proof::new(challenge, Vec::new()).fits(password));
    }
}

#[test]
fn too_long_strings_are_refused_before_they_are_sent() {
    let long = Sexp::Bytes(Bytes::from(vec![b'x'; 640 * 1024 + 1]));
    let error = encode(&Sexp::List(vec![long]), true, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("655361") && error.contains("limit"), "{error}");
}
