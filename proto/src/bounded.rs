//! The codec of all messages: it counts a message's fields before any memory is taken for them.
//!
//! An empty message in a list has two bytes on the wire and more than a hundred in memory. So a
//! message may have only as many fields as one of its length needs, see [`most_fields`].

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf as _;
use prost::encoding::{WireType, decode_key, decode_varint};
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::ProstEncoder;

/// Fields that a message of any length may have, and the bytes for each further one: a question
/// of gossip has 13 bytes for each of its fields.
const FREE_FIELDS: usize = 64;
const BYTES_PER_FIELD: usize = 12;

/// The most fields of a request, of whatever length: the largest message of gossip has 9,300.
pub const MAX_REQUEST_FIELDS: usize = 16_384;

/// The same of an answer: it may list thousands of peers and logs, whose fields are short.
const FREE_ANSWER_FIELDS: usize = 4_096;
const BYTES_PER_ANSWER_FIELD: usize = 4;

/// Which fields of a message are messages, and whether callers send it.
#[derive(Debug)]
pub struct Shape {
    /// Whether a call takes it: then a stranger may send it.
    pub is_request: bool,
    /// The number of each field that holds messages, and their shape.
    pub inner: &'static [(u32, &'static Shape)],
}

/// A message whose fields can be counted; `build.rs` implements it for all of the package.
pub trait Shaped {
    /// What the interface says of the message.
    const SHAPE: &'static Shape;
}

/// Why a message is not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    TooMany,
    Malformed,
}

/// How many fields a message of so many bytes may have, those of its inner messages counted.
pub fn most_fields(shape: &Shape, bytes: usize) -> usize {
    if shape.is_request {
        most_request_fields(bytes)
    } else {
        FREE_ANSWER_FIELDS + bytes / BYTES_PER_ANSWER_FIELD
    }
}

/// The same of a request, whose sender may be anyone.
pub fn most_request_fields(bytes: usize) -> usize {
    MAX_REQUEST_FIELDS.min(FREE_FIELDS + bytes / BYTES_PER_FIELD)
}

/// Counts the fields of a message down from what is left.
fn count(mut message: &[u8], shape: &Shape, left: &mut usize) -> Result<(), Refused> {
    while !message.is_empty() {
        *left = left.checked_sub(1).ok_or(Refused::TooMany)?;
        let (number, kind) = decode_key(&mut message).map_err(|_| Refused::Malformed)?;
        let length = match kind {
            WireType::Varint => {
                decode_varint(&mut message).map_err(|_| Refused::Malformed)?;
                0
            }
            WireType::ThirtyTwoBit => 4,
            WireType::SixtyFourBit => 8,
            WireType::LengthDelimited => {
                decode_varint(&mut message).map_err(|_| Refused::Malformed)?
            }
            // no message of the package has a group
            WireType::StartGroup | WireType::EndGroup => return Err(Refused::Malformed),
        };
        let length = usize::try_from(length).map_err(|_| Refused::Malformed)?;
        let (field, rest) = message.split_at_checked(length).ok_or(Refused::Malformed)?;
        message = rest;
        let inner = shape.inner.iter().find(|(own, _)| *own == number);
        if let (Some((_, inner)), WireType::LengthDelimited) = (inner, kind) {
            count(field, inner, left)?;
        }
    }
    Ok(())
}

/// Whether a message may be decoded.
fn check(message: &[u8], shape: &Shape) -> Result<(), Status> {
    let most = most_fields(shape, message.len());
    count(message, shape, &mut most.clone()).map_err(|refused| match refused {
        Refused::TooMany => {
            let bytes = message.len();
            let text = format!("the message has more than {most} fields in {bytes} bytes");
            Status::new(Code::InvalidArgument, format!("{text}\nhint: send less at once"))
        }
        Refused::Malformed => {
            let text =
                "the message is no protobuf of this interface\nhint: use the published files";
            Status::new(Code::InvalidArgument, text)
        }
    })
}

/// The codec of `ledger.v1`, which decodes no message with too many fields.
#[derive(Debug, Clone)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> BoundedCodec<T, U> {
        BoundedCodec(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Shaped + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::default()
    }

    fn decoder(&mut self) -> BoundedDecoder<U> {
        BoundedDecoder(PhantomData)
    }
}

/// Decodes messages that have not too many fields.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Message + Default + Shaped> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // tonic hands over a whole message in one piece
        if buf.chunk().len() != buf.remaining() {
            return Err(Status::internal("a message is in pieces"));
        }
        check(buf.chunk(), U::SHAPE)?;
        let malformed = |error: prost::DecodeError| {
            let hint = "hint: use the published interface";
            Status::new(Code::InvalidArgument, format!("{error}\n{hint}"))
        };
        U::decode(buf).map(Some).map_err(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1 as wire;

    fn refusal(message: &[u8], shape: &Shape) -> Option<String> {
        check(message, shape).err().map(|status| status.message().to_owned())
    }

    #[test]
    fn empty_messages_in_a_list_are_counted_before_they_are_decoded() {
        let shape = <wire::GossipMessage as Shaped>::SHAPE;
        for number in [3u8, 4, 5, 7, 8] {
            // field 4 of the message, and in it a list of what has no bytes
            let list = [number << 3 | 2, 0].repeat(1 << 20);
            let exchange = wire::GossipExchange { salt: vec![1; 16].into(), ..Default::default() };
            let inner = [exchange.encode_to_vec(), list].concat();
            let mut message = vec![4 << 3 | 2];
            prost::encoding::encode_varint(inner.len() as u64, &mut message);
            message.extend(inner);
            let expected = format!(
                "the message has more than 16384 fields in {} bytes\nhint: ",
                message.len()
            );
            let refused = refusal(&message, shape).expect("far too many");
            assert!(refused.starts_with(&expected), "{number}: {refused}");
        }
        // the messages of the outer one count too, and those of the witness
        let many = [4 << 3 | 2, 0].repeat(100);
        assert!(
            refusal(&many, shape).is_some_and(|refused| refused.contains("more than 80 fields"))
        );
        let proof = [2 << 3 | 2, 0].repeat(2_000);
        assert!(refusal(&proof, <wire::AddCheckpointRequest as Shaped>::SHAPE).is_some());
    }

    #[test]
    fn the_fullest_lawful_messages_are_decoded() {
        let hash = || prost::bytes::Bytes::from(vec![7; 32]);
        let question = || wire::GossipQuestion {
            origin: "o.e".to_owned(),
            smaller_size: 1,
            smaller_root: hash(),
            larger_size: 2,
            larger_root: hash(),
        };
        let answer = |hashes| wire::GossipAnswer {
            question: Some(question()),
            root: hash(),
            proof: vec![hash(); hashes],
        };
        for (questions, answers, hashes) in [(64, 0, 0), (0, 64, 0), (0, 64, 63), (64, 64, 63)] {
            let exchange = wire::GossipExchange {
                salt: vec![1; 16].into(),
                questions: vec![question(); questions],
                answers: vec![answer(hashes); answers],
                held: vec![wire::GossipEvidence { id: hash(), culprit: hash() }; 1_024],
                wants: vec![hash(); 1_024],
                ..Default::default()
            };
            let message = Some(wire::gossip_message::Message::Exchange(exchange));
            let message = wire::GossipMessage { message }.encode_to_vec();
            let shape = <wire::GossipMessage as Shaped>::SHAPE;
            assert_eq!(refusal(&message, shape), None, "{questions} {answers} {hashes}");
        }
        let caller = "a stranger".to_owned();
        let limited =
            wire::GossipLimited { caller, faults: 1, retry_after: 1, ..Default::default() };
        let status =
            wire::GetGossipResponse { limited: vec![limited; 4_096], ..Default::default() };
        let shape = <wire::GetGossipResponse as Shaped>::SHAPE;
        assert_eq!(refusal(&status.encode_to_vec(), shape), None);
    }

    #[test]
    fn what_is_cut_or_no_protobuf_is_malformed() {
        let shape = <wire::SubmitRequest as Shaped>::SHAPE;
        for bad in [&[0x0a, 5, 1][..], &[0x0a], &[0x0b], &[0xff; 11], &[0x09, 1], &[0x10, 0x80]] {
            let refused = refusal(bad, shape).expect("malformed");
            assert!(refused.starts_with("the message is no protobuf"), "{bad:?}: {refused}");
        }
        // fields that this version does not know are no error
        assert_eq!(refusal(&[0xf8, 1, 0], shape), None);
    }
}
