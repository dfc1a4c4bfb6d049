// The npm package @medplum/hl7 as an MLLP server: parses each message and answers it, keeps nothing.
import { Hl7Server } from '@medplum/hl7';

const server = new Hl7Server((connection) => {
  connection.addEventListener('message', ({ message }) => connection.send(message.buildAck()));
});
await server.start(Number(process.argv[2]));
