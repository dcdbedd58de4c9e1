// A page whose text says it all.

import { start } from "./common.js";

start(async () => {});
