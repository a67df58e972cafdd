//! The way in of one face: connections are taken from a listener as long as the gate lets them in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::Stream;

use super::socket::Socket;
use super::{Connection, Endpoint, Gate, RefusalReason};

/// Connections that wait for the face to take them.
const WAITING: usize = 64;

/// How long the door stays shut when the system gives no more sockets.
const PAUSE: Duration = Duration::from_millis(200);

/// Where connections come from.
pub struct Door {
    /// The socket.
    pub listener: TcpListener,
    /// What counts them.
    pub gate: Arc<Gate>,
    /// Whose they are.
    pub face: Endpoint,
    /// What answers handshakes; without it connections are plain.
    pub tls: Option<TlsAcceptor>,
}

/// The connections of a face, one after another; ends when the node stops.
pub struct Incoming(mpsc::Receiver<Connection>);

impl Door {
    /// Takes connections until `stopping` turns true, or nobody wants them any more.
    pub fn open(self, stopping: watch::Receiver<bool>) -> Incoming {
        let (sender, receiver) = mpsc::channel(WAITING);
        tokio::spawn(self.take(sender, stopping));
        Incoming(receiver)
    }

    async fn take(self, sender: mpsc::Sender<Connection>, mut stopping: watch::Receiver<bool>) {
        loop {
            let accepted = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = sender.closed() => return,
                accepted = self.listener.accept() => accepted,
            };
            let (socket, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // too many open files, or a client that went at once: neither ends the node
                    tracing::debug!(%error, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            // whoever is refused is refused at once: the socket closes
            let Ok(permit) = self.gate.enter(address.ip(), self.face) else { continue };
            // a handshake costs more than most requests
            let is_too_often = || self.gate.handshake(address.ip()).is_err();
            if self.tls.is_some() && is_too_often() {
                continue;
            }
            // small answers must not wait for more bytes to come
            let _ = socket.set_nodelay(true);
            let socket = Socket::new(socket, address, permit, self.gate.limits().idle());
            match &self.tls {
                None => {
                    if sender.send(Connection::plain(socket)).await.is_err() {
                        return;
                    }
                }
                // whoever is slow at it keeps nobody else waiting; permits bound how many there are
                Some(tls) => {
                    let shaking = shake(tls.clone(), socket, Arc::clone(&self.gate));
                    let (sender, mut stopping) = (sender.clone(), stopping.clone());
                    tokio::spawn(async move {
                        let connection = tokio::select! {
                            _ = stopping.wait_for(|stop| *stop) => return,
                            connection = shaking => connection,
                        };
                        if let Some(connection) = connection {
                            let _ = sender.send(connection).await;
                        }
                    });
                }
            }
        }
    }
}

/// A handshake, in the time that a request may take.
async fn shake(tls: TlsAcceptor, socket: Socket, gate: Arc<Gate>) -> Option<Connection> {
    match tokio::time::timeout(gate.limits().request(), tls.accept(socket)).await {
        Ok(Ok(stream)) => Some(Connection::tls(stream)),
        Ok(Err(error)) => {
            gate.refuse(RefusalReason::Tls);
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            gate.refuse(RefusalReason::Slow);
            None
        }
    }
}

impl Incoming {
    /// The next connection; `None` when the node stops.
    pub async fn next(&mut self) -> Option<Connection> {
        self.0.recv().await
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Connection>>> {
        self.0.poll_recv(context).map(|connection| connection.map(Ok))
    }
}
