//! Anything at all, in any pieces: an error at worst, never a panic, and memory in proportion.

use bytes::Bytes;
use lunabot_proto::Value;
use lunabot_proto::master::MasterProtocol;
use lunabot_proto::msgpack::{Message, MsgpackMaster, decode, encode};
use lunabot_proto::pb::banana::{self, Decoder};
use lunabot_proto::pb::{Door, Jelly, Sexp};
use proptest::prelude::*;

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("comparable", |x| !x.is_nan()).prop_map(Value::Float),
        ".{0,40}".prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(4, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
            prop::collection::btree_map(".{0,8}", inner, 0..20)
                .prop_map(|map| Value::Dict(map.into_iter().collect())),
        ]
    })
}

fn sexps() -> impl Strategy<Value = Sexp> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|n| Sexp::Int(n.into())),
        any::<u64>().prop_map(|n| Sexp::Int(n.into())),
        any::<f64>().prop_filter("comparable", |x| !x.is_nan()).prop_map(Sexp::Float),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Sexp::Bytes(bytes.into())),
        prop::sample::select(vec!["list", "message", "reference", "dereference", "tuple", "None", "unicode"])
            .prop_map(Sexp::word),
    ];
    leaf.prop_recursive(5, 64, 10, |inner| prop::collection::vec(inner, 0..10).prop_map(Sexp::List))
}

proptest! {
    #[test]
    fn msgpack_survives_the_wire(value in values()) {
        let mut out = Vec::new();
        encode(&value, &mut out);
        prop_assert_eq!(decode(&Bytes::from(out.clone())), Ok(value));
        prop_assert!(rmpv::decode::read_value(&mut &out[..]).is_ok());
        // Cut short it is an error.
        prop_assert!(decode(&Bytes::from(out[..out.len() - 1].to_vec())).is_err());
    }

    #[test]
    fn arbitrary_messages_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        let _ = Message::decode(&bytes);
        let _ = MsgpackMaster::new().receive(bytes);
    }

    #[test]
    fn banana_survives_the_wire(tree in sexps(), piece in 1usize..50) {
        let mut out = Vec::new();
        banana::encode(&tree, true, &mut out).unwrap();
        let mut decoder = Decoder::new(1 << 20);
        let mut read = Vec::new();
        for piece in out.chunks(piece) {
            decoder.feed(piece);
            while let Some(tree) = decoder.tree().unwrap() {
                read.push(tree);
            }
        }
        prop_assert_eq!(read, vec![tree.clone()]);
        let _ = Jelly::read(&tree);
    }

    #[test]
    fn arbitrary_bytes_do_no_harm_at_the_door(bytes in prop::collection::vec(any::<u8>(), 0..400), tree in sexps()) {
        let mut door = Door::new([1; 16]);
        door.feed(&bytes);
        while let Ok(Some(_)) = door.knock() {}
        // Behind a proper greeting too.
        let mut door = Door::new([1; 16]);
        let mut out = b"\x02\x82pb\x02\x80\x13\x87\x06\x81".to_vec();
        banana::encode(&tree, true, &mut out).unwrap();
        door.feed(&out);
        while let Ok(Some(_)) = door.knock() {}
    }
}

#[test]
fn promises_of_more_than_is_sent_cost_nothing_and_more_than_is_taken_ends() {
    // Lists, strings and maps that claim to be huge.
    for bytes in [
        &b"\xdd\xff\xff\xff\xff"[..],
        b"\xdf\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
    ] {
        assert!(decode(&Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
    }
    assert!(decode(&Bytes::from(vec![0x91; 100_000])).is_err(), "deep");
    let deep = |limit: usize, piece: &[u8]| {
        let mut decoder = Decoder::new(limit);
        let mut fed = 0;
        loop {
            decoder.feed(piece);
            fed += piece.len();
            match decoder.tree() {
                Ok(_) if fed < 64 * limit => {}
                outcome => return (outcome.is_err(), fed),
            }
        }
    };
    for piece in [&b"\x01\x80"[..], b"\x7f\x7f\x00\x80\x00\x80", b"\x00\x00\x00\x00", b"\x7f\x7f\x7f\x7f\x82"]
    {
        let (ended, fed) = deep(64 * 1024, piece);
        assert!(ended && fed <= 128 * 1024, "{piece:?}: {fed}");
    }
}
