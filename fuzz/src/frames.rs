//! What must hold for every frame that comes over a channel between the processes. See
//! `invariants` for how these are used.

use std::os::fd::AsFd;

use ipc::{
    Channel, ChannelError, Message, authenticator, codec, fdpass, gate, helper, keeper, operator,
    session, typed,
};

/// First byte of a frame that carries a message.
const FRAME_MESSAGE: u8 = 0;

/// A frame is a message, whole and within its bound, that comes out of its own encoding as it was;
/// or it is an error, and the channel goes on with the next frame.
fn frame<M: Message>(data: &[u8]) {
    let (ours, theirs) = fdpass::seqpacket_pair().expect("descriptors are left");
    let channel: Channel<M, M> = Channel::from_fd(ours);
    fdpass::send(theirs.as_fd(), data, &[], false).expect("the frame fits the socket");
    let received = match channel.recv() {
        Ok(received) => received,
        Err(ChannelError::Closed) => {
            assert!(data.is_empty(), "a frame was taken for the end");
            return;
        }
        Err(_) => return,
    };
    assert_eq!(data.first(), Some(&FRAME_MESSAGE));
    assert!(data.len() <= M::MAX_BYTES + 1, "{} bytes of {}", data.len(), M::MAX_BYTES);
    assert!(received.fds.is_empty());
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    codec::encode(&received.message, &mut once).expect("what was decoded can be encoded");
    assert!(once.len() < data.len(), "a message grew: {} bytes of {}", once.len(), data.len());
    let again: M = codec::decode(&once).expect("an encoding decodes");
    codec::encode(&again, &mut twice).expect("as before");
    assert_eq!(once, twice);
    let next = [&[FRAME_MESSAGE], &*once].concat();
    fdpass::send(theirs.as_fd(), &next, &[], false).expect("the frame fits the socket");
    assert!(channel.recv().is_ok(), "a message is refused the second time");
}

/// What gates and sessions, who face clients, may say.
pub fn frames_of_workers(data: &[u8]) {
    frame::<gate::GateToSupervisor>(data);
    frame::<session::SessionToSupervisor>(data);
    frame::<helper::SessionToHelper>(data);
    frame::<keeper::Sign>(data);
}

/// What the other processes and operators may say.
pub fn frames_of_others(data: &[u8]) {
    frame::<gate::SupervisorToGate>(data);
    frame::<session::SupervisorToSession>(data);
    frame::<helper::SupervisorToHelper>(data);
    frame::<helper::HelperToSupervisor>(data);
    frame::<helper::HelperToSession>(data);
    frame::<keeper::SupervisorToKeeper>(data);
    frame::<keeper::KeeperToSupervisor>(data);
    frame::<keeper::Signed>(data);
    frame::<authenticator::SupervisorToAuthenticator>(data);
    frame::<typed::GateToAuthenticator>(data);
    frame::<authenticator::AuthenticatorToSupervisor>(data);
    frame::<operator::Request>(data);
    frame::<operator::Answer>(data);
}

/// The name of a fuzz target, and its invariant.
pub type Named = (&'static str, fn(&[u8]));

/// Both by the names of their fuzz targets.
pub const ALL: [Named; 2] =
    [("frames_of_workers", frames_of_workers), ("frames_of_others", frames_of_others)];
