//! The writing connection of SQLite after a commit or a rollback that failed, in the process: whatever state it is left in, the
//! next transaction is one of its own, and is kept.

use sea_orm::ConnectionTrait;
use service::{Error, db::Db};
use tests::{Backend, Database};

async fn opened(database: &Database) -> Db {
    let db = Db::connect(database.url(), 2).await.unwrap();
    db.writer.execute_unprepared("CREATE TABLE mark (n integer)").await.unwrap();
    db
}

/// A transaction after the trouble: others see it, and so does a process that opens the database again.
async fn is_kept(database: &Database, db: Db) {
    // One that is undone: with a wrong count it would only go back to a savepoint.
    drop(db.begin().await.unwrap());
    for n in 1..=3 {
        let tx = db.begin().await.unwrap();
        tx.execute_unprepared(&format!("INSERT INTO mark VALUES ({n})")).await.unwrap();
        db.commit(tx).await.unwrap();
        db.writer.execute_unprepared("INSERT INTO mark VALUES (0)").await.unwrap();
        assert_eq!(marks(&db).await, 2 * n);
    }
    db.close().await;
    assert_eq!(marks(&Db::connect(database.url(), 2).await.unwrap()).await, 6);
}

async fn marks(db: &Db) -> i64 {
    let count = sea_orm::Statement::from_string(db.backend(), "SELECT count(*) FROM mark");
    db.reader.query_one_raw(count).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transaction_after_a_failed_commit_is_kept() {
    let database = Database::migrated(Backend::Sqlite).await;
    let db = opened(&database).await;
    // As SQLite does by itself when the disk is full: the transaction has ended when it is to be committed.
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared("ROLLBACK").await.unwrap();
    let error = Error::Db(db.commit(tx).await.unwrap_err());
    assert!(error.is_unavailable(), "it may be tried again: {error}");
    is_kept(&database, db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transaction_after_a_failed_rollback_is_kept() {
    let database = Database::migrated(Backend::Sqlite).await;
    let db = opened(&database).await;
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared("ROLLBACK").await.unwrap();
    drop(tx);
    is_kept(&database, db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_nobody_counts_is_undone() {
    let database = Database::migrated(Backend::Sqlite).await;
    let db = opened(&database).await;
    db.writer.execute_unprepared("BEGIN IMMEDIATE; INSERT INTO mark VALUES (9)").await.unwrap();
    is_kept(&database, db).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_violated_constraint_is_no_trouble_of_the_database() {
    let database = Database::migrated(Backend::Sqlite).await;
    let db = opened(&database).await;
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared("CREATE TABLE a (id integer PRIMARY KEY)").await.unwrap();
    let deferred = "CREATE TABLE b (a integer REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)";
    tx.execute_unprepared(deferred).await.unwrap();
    tx.execute_unprepared("INSERT INTO b VALUES (1)").await.unwrap();
    let error = Error::Db(db.commit(tx).await.unwrap_err());
    assert!(!error.is_unavailable(), "{error}");
    assert_eq!(db.verify_writable().await, Ok(()));
    is_kept(&database, db).await;
}
