// The options that commands share.

#pragma once

#include "arguments.hpp"
#include "edgemeta/runner.hpp"

/// Loads the bundle that a command's first argument names, with its --threads and --key.
/// Throws edgemeta::Error.
edgemeta::Runner open_bundle(const Arguments& arguments);
