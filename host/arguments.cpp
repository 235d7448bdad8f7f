#include "arguments.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

const char *const kUsage =
    "usage: kernprof-launch --list\n"
    "       kernprof-launch --kernel NAME --shape m=64,n=9[,...]\n"
    "       kernprof-launch --kernel NAME --grid X[,Y[,Z]] --block X[,Y[,Z]] [--arg ARG]...\n"
    "options:\n"
    "  --list            names of the built kernels and the file each is in\n"
    "  --shape           problem size; grid, block and arguments come from the Python package\n"
    "                    (KERNPROF_PYTHON or python3 must be able to import kernprof)\n"
    "  --arg             in the kernel's order: buf:COUNT[:zero|random|arange] (COUNT floats;\n"
    "                    random is uniform in [0.5, 1.5)), null, i32:VALUE, f32:VALUE\n"
    "  --shared BYTES    dynamic shared memory (default 0)\n"
    "  --machine-code F  cubin or fatbin to load instead of the built one\n"
    "  --repeat N        launches (default 1)\n"
    "  --device N        CUDA device (default 0)\n"
    "exit status: 0 launched; 2 wrong usage; 3 the launch failed; 4 no GPU, or something missing\n";

namespace {

long long integer(const std::string &text, long long least, long long most,
                  const std::string &what) {
    errno = 0;
    char *end = nullptr;
    const long long value = std::strtoll(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || errno == ERANGE || value < least || value > most)
        throw UsageError(what + " is '" + text + "', expected an integer from " +
                         std::to_string(least) + " to " + std::to_string(most));
    return value;
}

Extent extent(const std::string &text, const std::string &what) {
    // CUDA C++ Programming Guide, technical specifications per compute capability.
    const long long most[3] = {what == "--grid" ? 2147483647LL : 1024LL,
                               what == "--grid" ? 65535LL : 1024LL,
                               what == "--grid" ? 65535LL : 64LL};
    Extent found;
    unsigned *parts[3] = {&found.x, &found.y, &found.z};
    std::size_t from = 0;
    for (int axis = 0; axis < 3; ++axis) {
        const std::size_t comma = text.find(',', from);
        *parts[axis] = static_cast<unsigned>(
            integer(text.substr(from, comma - from), 1, most[axis], what));
        if (comma == std::string::npos)
            return found;
        from = comma + 1;
    }
    throw UsageError(what + " is '" + text + "', expected at most three numbers");
}

Argument argument(const std::string &text) {
    Argument made;
    if (text == "null")
        return made;
    const std::size_t colon = text.find(':');
    const std::string kind = text.substr(0, colon);
    const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
    if (kind == "buf") {
        made.kind = Argument::Kind::buffer;
        const std::size_t second = rest.find(':');
        made.elements = static_cast<std::size_t>(
            integer(rest.substr(0, second), 1, std::numeric_limits<std::int32_t>::max(),
                    "the element count of --arg " + text));
        const std::string fill = second == std::string::npos ? "zero" : rest.substr(second + 1);
        if (fill == "zero")
            made.fill = Fill::zero;
        else if (fill == "random")
            made.fill = Fill::random;
        else if (fill == "arange")
            made.fill = Fill::arange;
        else
            throw UsageError("--arg " + text + " fills with '" + fill +
                             "', expected zero, random or arange");
        return made;
    }
    made.kind = Argument::Kind::scalar;
    if (kind == "i32") {
        const auto value = static_cast<std::int32_t>(
            integer(rest, std::numeric_limits<std::int32_t>::min(),
                    std::numeric_limits<std::int32_t>::max(), "the value of --arg " + text));
        std::memcpy(&made.bits, &value, sizeof value);
        return made;
    }
    if (kind == "f32") {
        char *end = nullptr;
        const float value = std::strtof(rest.c_str(), &end);
        if (rest.empty() || *end != '\0' || !std::isfinite(value))
            throw UsageError("the value of --arg " + text + " is no finite number");
        std::memcpy(&made.bits, &value, sizeof value);
        return made;
    }
    throw UsageError("--arg " + text + " is of no known kind; expected buf:, null, i32: or f32:");
}

} // namespace

Request parse(const std::vector<std::string> &words) {
    Request made;
    for (std::size_t at = 0; at < words.size(); ++at) {
        const std::string &word = words[at];
        if (word == "--help" || word == "-h") {
            made.help = true;
            return made;
        }
        if (word == "--list") {
            made.list = true;
            continue;
        }
        const char *const known[] = {"--kernel", "--shape",  "--grid",   "--block", "--shared",
                                     "--arg",    "--repeat", "--device", "--machine-code"};
        bool is_known = false;
        for (const char *option : known)
            is_known = is_known || word == option;
        if (!is_known)
            throw UsageError("no option '" + word + "'; see --help");
        if (at + 1 == words.size())
            throw UsageError(word + " needs a value");
        const std::string &value = words[++at];
        if (word == "--kernel")
            made.kernel = value;
        else if (word == "--shape")
            made.shape = value;
        else if (word == "--machine-code")
            made.machine_code = value;
        else if (word == "--grid") {
            made.grid = extent(value, word);
            made.has_grid = true;
        } else if (word == "--block") {
            made.block = extent(value, word);
            made.has_block = true;
        } else if (word == "--shared")
            made.shared_bytes = static_cast<unsigned>(integer(value, 0, 1 << 20, word));
        else if (word == "--repeat")
            made.repeat = static_cast<int>(integer(value, 1, 1000000, word));
        else if (word == "--device")
            made.device = static_cast<int>(integer(value, 0, 1023, word));
        else
            made.arguments.push_back(argument(value));
    }
    if (made.list)
        return made;
    if (made.kernel.empty())
        throw UsageError("no --kernel is named; see --list and --help");
    if (made.shape.empty() && !(made.has_grid && made.has_block))
        throw UsageError("neither --shape nor both of --grid and --block are given");
    if (!made.shape.empty() && (made.has_grid || made.has_block || !made.arguments.empty()))
        throw UsageError("--shape brings grid, block and arguments; leave those out");
    return made;
}
