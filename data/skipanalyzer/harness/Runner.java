package runner;

import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.FilePermission;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.security.ProtectionDomain;
import java.util.HashMap;
import java.util.Map;

/**
 * Runs checks of patched methods, each in a class loader of its own that grants no permission, and tells what came out.
 *
 * Everything is read before the first patched class exists: a secret word, then the classes. A line counts only if it
 * begins with that word, which stands in no object that a patch can reach; what a patch prints goes nowhere.
 */
public final class Runner {
    private static final long SHORT = 1000; // milliseconds; a check takes a few
    private static final long CPU = 3_000_000_000L; // nanoseconds of its thread, whatever else the computer does
    private static final long LONG = 20_000_000_000L; // nanoseconds of wall clock, for one that waits

    private Runner() {}

    /** The classes of one check, over Java's own. */
    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;
        private final ProtectionDomain nothing = new ProtectionDomain(null, null);

        Loader(Map<String, byte[]> classes) {
            super(null);
            this.classes = classes;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] code = classes.get(name);
            if (code == null) {
                throw new ClassNotFoundException(name);
            }
            return defineClass(name, code, 0, code.length, nothing);
        }
    }

    /** One check, on a thread of its own. */
    private static final class Job implements Runnable {
        private final Loader loader;
        private final String check;
        private String verdict = "TIME";
        private String why = "";

        Job(Loader loader, String check) {
            this.loader = loader;
            this.check = check;
        }

        @Override
        public void run() {
            String found;
            String told = "";
            try {
                Method run = loader.loadClass(check).getDeclaredMethod("run");
                run.setAccessible(true);
                run.invoke(null);
                found = loader.loadClass("harness.Expect").getField("returnedNull").getBoolean(null) ? "NULL" : "PASS";
            } catch (InvocationTargetException error) {
                found = error.getCause() instanceof OutOfMemoryError ? "ROOM" : "FAIL";
                told = said(error.getCause());
            } catch (Throwable error) {
                found = error instanceof OutOfMemoryError ? "ROOM" : "FAIL";
                told = said(error);
            }
            synchronized (this) {
                why = told;
                verdict = found;
            }
        }

        synchronized String[] told() {
            return new String[] {verdict, why};
        }
    }

    public static void main(String[] arguments) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        byte[] word = in.readNBytes(in.readInt());
        String secret = new String(word, StandardCharsets.UTF_8);
        Map<String, byte[]> shared = classes(in);
        int count = in.readInt();
        String[] ids = new String[count];
        String[] checks = new String[count];
        Loader[] loaders = new Loader[count];
        for (int i = 0; i < count; i++) {
            ids[i] = text(in);
            checks[i] = text(in);
            Map<String, byte[]> own = new HashMap<>(shared);
            own.putAll(classes(in));
            loaders[i] = new Loader(own);
        }
        PrintStream out = System.out;
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
        System.setIn(new ByteArrayInputStream(new byte[0]));
        System.setOut(nowhere);
        System.setErr(nowhere);
        if (!(System.getSecurityManager() instanceof Guard)
                || new ProtectionDomain(null, null).implies(new FilePermission("/", "read"))) {
            out.println(secret + "\tOPEN");
            Runtime.getRuntime().halt(2);
        }
        for (int i = 0; i < count; i++) {
            out.println(secret + "\tSTART\t" + ids[i]);
            Job job = new Job(loaders[i], checks[i]);
            loaders[i] = null;
            Thread thread = new Thread(null, job, "check", 1 << 20);
            thread.setDaemon(true);
            thread.start();
            await(thread);
            String[] told = job.told();
            out.println(secret + "\t" + told[0] + "\t" + ids[i] + "\t" + told[1]);
            out.flush();
            if (told[0].equals("TIME") || told[0].equals("ROOM")) {
                Runtime.getRuntime().halt(3); // what is left runs in a new machine
            }
        }
        Runtime.getRuntime().halt(0);
    }

    private static void await(Thread thread) throws InterruptedException {
        long end = System.nanoTime() + LONG;
        thread.join(SHORT);
        while (thread.isAlive()
                && System.nanoTime() < end
                && ManagementFactory.getThreadMXBean().getThreadCpuTime(thread.getId()) < CPU) {
            thread.join(SHORT / 10);
        }
    }

    private static String said(Throwable error) {
        String text;
        try {
            text = error instanceof AssertionError && error.getMessage() != null
                    ? error.getMessage()
                    : "it raises " + error;
        } catch (Throwable another) {
            text = "it raises an error without words";
        }
        return text.substring(0, Math.min(text.length(), 200)).replaceAll("[^ -~]", "?");
    }

    private static Map<String, byte[]> classes(DataInputStream in) throws IOException {
        Map<String, byte[]> found = new HashMap<>();
        for (int left = in.readInt(); left > 0; left--) {
            found.put(text(in), in.readNBytes(in.readInt()));
        }
        return found;
    }

    private static String text(DataInputStream in) throws IOException {
        return new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
    }
}
