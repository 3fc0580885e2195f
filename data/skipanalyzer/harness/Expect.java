package harness;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/** What a check says of a method, and the files in memory that the method opens, each end counted. */
public final class Expect {
    /** A call with a value. */
    public interface Call {
        Object run() throws Exception;
    }

    /** A call. */
    public interface Act {
        void run() throws Exception;
    }

    /** Whether a call that may meet null returned null. */
    public static boolean returnedNull;

    private static final Map<String, StringBuilder> FILES = new HashMap<>();
    private static final Set<String> SPOILT = new HashSet<>();
    private static final Set<String> LOCKED = new HashSet<>();
    private static int opened;
    private static int open;

    private Expect() {}

    /** A file to read. */
    public static void put(String name, String text) {
        FILES.put(name, new StringBuilder(text));
    }

    /** What was written to a file. */
    public static String text(String name) {
        return FILES.containsKey(name) ? FILES.get(name).toString() : null;
    }

    /** From now on every read and write of this file fails. */
    public static void spoil(String name) {
        SPOILT.add(name);
    }

    /** From now on this file cannot be opened. */
    public static void lock(String name) {
        LOCKED.add(name);
    }

    public static void same(Object wanted, Object got) {
        if (!Objects.equals(wanted, got)) {
            throw new AssertionError("the result is " + brief(got) + " and not " + brief(wanted));
        }
    }

    /** No NullPointerException, whatever else; another exception is an answer too. */
    public static void quiet(Call call) {
        try {
            returnedNull |= call.run() == null;
        } catch (NullPointerException error) {
            throw new AssertionError("a null input raises a NullPointerException");
        } catch (Exception error) {
            return;
        }
    }

    /** All that was opened is closed. */
    public static void shut() {
        if (opened == 0) {
            throw new AssertionError("nothing was opened");
        }
        if (open > 0) {
            throw new AssertionError(open + " of " + opened + " resources stay open");
        }
    }

    /** All that was opened is closed after this call, whether it raises or not. */
    public static void shut(Act act) {
        after(act);
    }

    /** This call raises an exception, and all that was opened is closed after it. */
    public static void breaks(Act act) {
        if (after(act) == null) {
            throw new AssertionError("a failure is passed over without an exception");
        }
    }

    private static Exception after(Act act) {
        Exception raised = null;
        try {
            act.run();
        } catch (Exception error) {
            raised = error;
        }
        if (open > 0) {
            String when = raised == null ? "" : " after " + raised.getClass().getSimpleName();
            throw new AssertionError(open + " of " + opened + " resources stay open" + when);
        }
        return raised;
    }

    private static String brief(Object value) {
        String text = String.valueOf(value);
        return text.length() > 60 ? text.substring(0, 60) + "..." : text;
    }

    /** One open end of a file. */
    static final class End {
        private final String name;
        private final StringBuilder text;
        private int at;
        private boolean closed;

        End(String name, boolean write) throws FileNotFoundException {
            this.name = Objects.requireNonNull(name);
            if (LOCKED.contains(name) || !write && !FILES.containsKey(name)) {
                throw new FileNotFoundException(name);
            }
            if (write) {
                FILES.put(name, new StringBuilder());
            }
            text = FILES.get(name);
            opened++;
            open++;
        }

        private void usable() throws IOException {
            if (closed) {
                throw new IOException(name + " is closed");
            }
            if (SPOILT.contains(name)) {
                throw new IOException(name + " cannot be read or written");
            }
        }

        int read() throws IOException {
            usable();
            return at < text.length() ? text.charAt(at++) : -1;
        }

        void write(int one) throws IOException {
            usable();
            text.append((char) one);
        }

        void flush() throws IOException {
            usable();
        }

        void close() {
            if (!closed) {
                closed = true;
                open--;
            }
        }
    }
}
