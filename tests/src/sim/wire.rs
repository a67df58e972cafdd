//! What a message costs on the wire: the obvious protobuf layout, field by field.

use ledger_core::gossip::{Exchange, Message, Question};

/// Bytes of a message without what the transport adds.
pub fn size(message: &Message) -> usize {
    match message {
        Message::Hello { .. } => field(16) + field(16),
        Message::Same => 2,
        Message::Lists { lines, .. } => field(16) + lines.len() * field(2 * (1 + 8)),
        Message::Exchange(told) => exchange(told),
    }
}

fn exchange(told: &Exchange) -> usize {
    let heads = told.heads.iter().map(|head| field(head.to_string().len()));
    let questions = told.questions.iter().map(|asked| field(question(asked)));
    let answers = told.answers.iter().map(|answer| {
        let proof = answer.proof.proof.hashes().len() * field(32);
        field(field(question(&answer.question)) + field(32) + proof)
    });
    let evidence = told.evidence.as_ref().map_or(0, |evidence| field(evidence.as_bytes().len()));
    field(16)
        + told.about.len() * field(8)
        + heads.sum::<usize>()
        + told.held.len() * field(2 * field(32))
        + told.wants.len() * field(32)
        + evidence
        + questions.sum::<usize>()
        + answers.sum::<usize>()
}

fn question(asked: &Question) -> usize {
    let head = field(10) + field(32);
    field(asked.origin.as_str().len()) + 2 * field(head)
}

/// A tag, a length and so many bytes.
fn field(bytes: usize) -> usize {
    let mut length = 1;
    let mut rest = bytes >> 7;
    while rest > 0 {
        length += 1;
        rest >>= 7;
    }
    1 + length + bytes
}
