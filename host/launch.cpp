// Launches one kernel of the library by name, for use under ncu or compute-sanitizer.
//
// Memory and launches go through the CUDA runtime; the three driver functions that it has no counterpart
// for on older toolkits are asked from the runtime, so that nothing here links against libcuda and the
// program starts on a machine without a driver.
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <sstream>

#include "arguments.h"

namespace {

struct Kernel {
    const char *name;
    const char *file;
};

const Kernel kKernels[] = {
#include "kernel_table.inc"
};

void check(cudaError_t status, const std::string &what) {
    if (status != cudaSuccess)
        throw std::runtime_error(what + ": " + cudaGetErrorString(status));
}

void check(CUresult status, const std::string &what) {
    if (status != CUDA_SUCCESS)
        throw std::runtime_error(what + ": CUDA driver error " + std::to_string(status));
}

template <class Function> Function driver(const char *name) {
    void *address = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    check(cudaGetDriverEntryPointByVersion(name, &address, 12000, cudaEnableDefault, &found), name);
#else
    check(cudaGetDriverEntryPoint(name, &address, cudaEnableDefault, &found), name);
#endif
    if (found != cudaDriverEntryPointSuccess)
        throw std::runtime_error(std::string("the driver has no ") + name);
    return reinterpret_cast<Function>(address);
}

std::string machine_code_of(const std::string &kernel) {
    for (const Kernel &known : kKernels)
        if (kernel == known.name)
            return std::string(KERNPROF_KERNELS) + "/" + known.file + ".fatbin";
    throw UsageError("no kernel named '" + kernel + "'; --list shows them");
}

std::string contents(const std::string &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
        throw UsageError(path + " can't be read");
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Grid, block and arguments of a shape, as the Python package's registry gives them: the formulas are
// written once, there. The child is run without a shell and prints one option a line.
std::vector<std::string> plan(const std::string &kernel, const std::string &shape) {
    const char *chosen = std::getenv("KERNPROF_PYTHON");
    const std::string python = chosen != nullptr && *chosen != '\0' ? chosen : "python3";
    int ends[2];
    if (pipe(ends) != 0)
        throw std::runtime_error("no pipe can be opened");
    const pid_t child = fork();
    if (child < 0)
        throw std::runtime_error("no process can be started");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execlp(python.c_str(), python.c_str(), "-m", "kernprof.library.command", kernel.c_str(),
               shape.c_str(), "--plan", static_cast<char *>(nullptr));
        _exit(127);
    }
    close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(got));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 2)
        throw UsageError("--shape " + shape + " doesn't fit " + kernel + " (see the line above)");
    if (code != 0)
        throw Unavailable("'" + python + "' can't plan the launch; set KERNPROF_PYTHON to a Python"
                          " that has kernprof, or give --grid, --block and --arg");
    std::vector<std::string> words{"--kernel", kernel};
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
        if (!line.empty())
            words.push_back(line);
    return words;
}

struct Free {
    void operator()(void *memory) const { cudaFree(memory); }
};
using Buffer = std::unique_ptr<void, Free>;

Buffer filled(const Argument &argument, unsigned seed) {
    void *memory = nullptr;
    const std::size_t bytes = argument.elements * 4;
    check(cudaMalloc(&memory, bytes), "a buffer of " + std::to_string(bytes) + " bytes");
    Buffer owner(memory);
    if (argument.fill == Fill::zero) {
        check(cudaMemset(memory, 0, bytes), "filling a buffer");
        return owner;
    }
    std::vector<float> values(argument.elements);
    std::mt19937 generator(seed);
    std::uniform_real_distribution<float> uniform(0.5f, 1.5f);
    for (std::size_t at = 0; at < values.size(); ++at)
        values[at] = argument.fill == Fill::random ? uniform(generator) : static_cast<float>(at);
    check(cudaMemcpy(memory, values.data(), bytes, cudaMemcpyHostToDevice), "filling a buffer");
    return owner;
}

void launch(const Request &request) {
    int devices = 0;
    const cudaError_t counted = cudaGetDeviceCount(&devices);
    if (counted != cudaSuccess || devices == 0)
        throw Unavailable(std::string("no usable NVIDIA GPU here (") +
                          (counted == cudaSuccess ? "none found" : cudaGetErrorString(counted)) +
                          "); run it on a machine with a GPU and a driver");
    if (request.device >= devices)
        throw UsageError("--device is " + std::to_string(request.device) + ", this machine has " +
                         std::to_string(devices));
    check(cudaSetDevice(request.device), "choosing the device");
    check(cudaFree(nullptr), "starting CUDA"); // makes the context that the driver functions use

    const std::string code = contents(request.machine_code.empty() ? machine_code_of(request.kernel)
                                                                   : request.machine_code);
    CUmodule module = nullptr;
    CUfunction function = nullptr;
    check(driver<CUresult (*)(CUmodule *, const void *)>("cuModuleLoadData")(&module, code.data()),
          "loading the machine code (is it for this GPU?)");
    check(driver<CUresult (*)(CUfunction *, CUmodule, const char *)>("cuModuleGetFunction")(
              &function, module, request.kernel.c_str()),
          "finding " + request.kernel);
    if (request.shared_bytes > 48 * 1024) // more than any block gets without asking
        check(driver<CUresult (*)(CUfunction, CUfunction_attribute, int)>("cuFuncSetAttribute")(
                  function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                  static_cast<int>(request.shared_bytes)),
              "asking for shared memory");

    std::vector<Buffer> buffers;
    std::vector<void *> pointers(request.arguments.size(), nullptr);
    std::vector<std::uint32_t> scalars(request.arguments.size(), 0);
    std::vector<void *> parameters;
    for (std::size_t at = 0; at < request.arguments.size(); ++at) {
        const Argument &argument = request.arguments[at];
        if (argument.kind == Argument::Kind::scalar) {
            scalars[at] = argument.bits;
            parameters.push_back(&scalars[at]);
            continue;
        }
        if (argument.kind == Argument::Kind::buffer) {
            buffers.push_back(filled(argument, static_cast<unsigned>(at) + 1));
            pointers[at] = buffers.back().get();
        }
        parameters.push_back(&pointers[at]);
    }

    const auto run = driver<CUresult (*)(CUfunction, unsigned, unsigned, unsigned, unsigned, unsigned,
                                         unsigned, unsigned, CUstream, void **, void **)>(
        "cuLaunchKernel");
    cudaEvent_t start = nullptr, stop = nullptr;
    check(cudaEventCreate(&start), "making an event");
    check(cudaEventCreate(&stop), "making an event");
    check(cudaEventRecord(start), "recording an event");
    for (int at = 0; at < request.repeat; ++at)
        check(run(function, request.grid.x, request.grid.y, request.grid.z, request.block.x,
                  request.block.y, request.block.z, request.shared_bytes, nullptr,
                  parameters.data(), nullptr),
              "launching " + request.kernel);
    check(cudaEventRecord(stop), "recording an event");
    check(cudaDeviceSynchronize(), "running " + request.kernel);
    float milliseconds = 0.0f;
    check(cudaEventElapsedTime(&milliseconds, start, stop), "reading the time");
    std::printf("%s grid=%u,%u,%u block=%u,%u,%u launches=%d mean_us=%.3f\n", request.kernel.c_str(),
                request.grid.x, request.grid.y, request.grid.z, request.block.x, request.block.y,
                request.block.z, request.repeat, 1e3 * milliseconds / request.repeat);
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
}

int run(const std::vector<std::string> &words) {
    Request request = parse(words);
    if (request.help) {
        std::fputs(kUsage, stdout);
        return 0;
    }
    if (request.list) {
        for (const Kernel &known : kKernels)
            std::printf("%s\t%s.cu\n", known.name, known.file);
        return 0;
    }
    if (request.machine_code.empty())
        machine_code_of(request.kernel); // an unknown name is wrong usage, GPU or not
    if (!request.shape.empty()) {
        const Request planned = parse(plan(request.kernel, request.shape));
        request.grid = planned.grid;
        request.block = planned.block;
        request.shared_bytes = planned.shared_bytes;
        request.arguments = planned.arguments;
    }
    launch(request);
    return 0;
}

} // namespace

int main(int count, char **words) {
    try {
        return run({words + 1, words + count});
    } catch (const UsageError &error) {
        std::fprintf(stderr, "kernprof-launch: %s\n", error.what());
        return 2;
    } catch (const Unavailable &error) {
        std::fprintf(stderr, "kernprof-launch: %s\n", error.what());
        return 4;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "kernprof-launch: %s\n", error.what());
        return 3;
    }
}
