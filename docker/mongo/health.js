// Healthy once it is the primary of its replica set of one. The first check makes the set: only that
// takes a password, which comes from the environment, since others can read command lines.
function isPrimary() {
  const hello = db.hello()
  return hello.isWritablePrimary && hello.setName === "rs0"
}

if (!isPrimary()) {
  const {MONGO_INITDB_ROOT_USERNAME: user, MONGO_INITDB_ROOT_PASSWORD: password} = process.env
  db.getSiblingDB("admin").auth(user, password)
  try {
    rs.status()
  } catch (error) {
    rs.initiate({_id: "rs0", members: [{_id: 0, host: "mongo:27017"}]})
  }
}
quit(isPrimary() ? 0 : 1)
