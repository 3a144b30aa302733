// Fetches a page with `fetch`: `javascript_fetch URL [SECONDS]` prints it.
//
// Waits for so many seconds until somebody listens.

import { getArguments } from "wasi:cli/environment@0.2.0";
import { getStdout } from "wasi:cli/stdout@0.2.0";

export const run = {
  async run() {
    const [, url, seconds = "0", ...rest] = getArguments();
    if (url === undefined || rest.length > 0) fail("usage: javascript_fetch URL [SECONDS]");
    try {
      new URL(url);
    } catch (error) {
      fail(`cannot fetch ${url}: ${error.message}`);
    }
    const response = await request(url, Date.now() + Number(seconds) * 1000);
    if (!response.ok) fail(`${url} answers with the status ${response.status}`);
    let body;
    try {
      // `text` of this engine fails if the page is not UTF-8.
      body = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      fail(`the page of ${url} has not arrived whole: ${error.message}`);
    }
    print(body);
  },
};

async function request(url, until) {
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      // The engine says that there is an error of the network, but not which: a connection that is refused looks like all
      // others.
      if (Date.now() >= until) fail(`cannot fetch ${url}: ${error.message}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function print(bytes) {
  const stdout = getStdout();
  // A call takes no more than this.
  const most = 4096;
  for (let at = 0; at < bytes.length; at += most) stdout.blockingWriteAndFlush(bytes.subarray(at, at + most));
}

// Ends the program with a failure: what it throws is the error of `run`, which has no value.
function fail(message) {
  console.error(message);
  throw undefined;
}
