// Run once, when the database is made: the user of workers and coordinator, who may read and write
// their own database and nothing else.
db.getSiblingDB("admin").createUser({
  user: "stt",
  pwd: process.env.STT_MONGO_PASSWORD,
  roles: [{role: "readWrite", db: "stt"}],
})
