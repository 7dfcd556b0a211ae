//! The plain HTTP server, with what it does in the background.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use seatrial_runtime::{Failure, now};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::app::App;
use crate::http::router;
use crate::routes::REFRESH;

/// Where the server listens unless `SEATRIAL_LISTEN` says otherwise.
pub const LISTEN: &str = "127.0.0.1:8080";
/// How often observations are sent.
const SEND: Duration = Duration::from_secs(1);
/// How long requests may go on after the signal to end.
const DRAIN: Duration = Duration::from_secs(28);
/// How long the last observations may take.
const LAST: Duration = Duration::from_secs(10);

/// Serves until `end`, then answers what is in flight and sends the last observations.
///
/// # Errors
/// When the address cannot be listened on, or the server fails.
pub async fn serve(
    app: Arc<App>,
    listen: &str,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let address: SocketAddr = listen.parse().map_err(|_| {
        Failure::invalid(format!(
            "SEATRIAL_LISTEN is {listen:?}; expected an address and a port, for example {LISTEN}"
        ))
    })?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::internal(&format!("listening on {address} (is the port taken? set SEATRIAL_LISTEN)"), error)
    })?;
    let bound = listener.local_addr().map_err(|error| Failure::internal("asking for the address", error))?;
    tracing::info!(address = %bound, "the data plane listens");
    let (told, ending) = watch::channel(false);
    let (sender, reader) =
        (tokio::spawn(send(Arc::clone(&app), ending.clone())), tokio::spawn(read(Arc::clone(&app))));
    // Answers are small: waiting to fill a packet would only delay them.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let signalled = async move {
        end.await;
        tracing::info!("the data plane ends: requests in flight are answered");
        // Nobody listens any more only when serving has ended by itself.
        let _ = told.send(true);
    };
    let serving = axum::serve(listener, router(Arc::clone(&app))).with_graceful_shutdown(signalled);
    let served = tokio::select! {
        served = serving => served,
        () = drained(ending) => Ok(()),
    };
    reader.abort();
    // The sender is not aborted: what it is sending would be lost.
    let last = async { sender.await.is_ok() && app.outbox.flush(None).await };
    if !tokio::time::timeout(LAST, last).await.unwrap_or(false) {
        tracing::error!("the observation queue did not take the last observations");
    }
    served.map_err(|error| Failure::internal("serving", error))
}

/// Returns at the first SIGTERM or interrupt.
pub async fn signalled() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(error) => {
                tracing::warn!(error = %error, "SIGTERM cannot be listened for");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn drained(mut ending: watch::Receiver<bool>) {
    drop(ending.wait_for(|ending| *ending).await);
    tokio::time::sleep(DRAIN).await;
}

/// Sends observations every second, and when many wait.
async fn send(app: Arc<App>, mut ending: watch::Receiver<bool>) {
    let mut tick = interval(SEND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = app.outbox.woken() => {}
            _ = ending.wait_for(|ending| *ending) => return,
        }
        app.outbox.flush(Some(now().as_second())).await;
    }
}

/// Reads the routes in use, and asks for the versions they name.
async fn read(app: Arc<App>) {
    let mut tick = interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // Asking for a model keeps it in use.
        for model in &app.preload {
            drop(app.view(model).await);
        }
        app.routes.refresh_all().await;
        for standing in app.routes.standings() {
            if standing.view.stale {
                app.stale(&standing.model);
            }
            app.want(&standing.model, &standing.view);
        }
    }
}
